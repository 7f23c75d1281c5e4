//! The findings of a row: their outline by its number in the block, and the grounds of those that have some.
//!
//! Decisions by one configuration go by the same restrictions, and most restrictions have nothing to say. So what was asked
//! and what came of it is written once in a block for all rows that share it: to write it with each took longer than the
//! rest of a row.

use std::hash::{Hash, Hasher};

use facts::{Finding, Outcome, Stage};
use rustc_hash::FxHashMap;

use super::codec::{Field, In, Out, fields};

/// All of a finding but its grounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    list: &'static str,
    stage: Stage,
    restriction: &'static str,
    outcome: Outcome,
}

fields! {
    Line { list, stage, restriction, outcome }
}

impl Line {
    pub(crate) fn of(finding: &Finding) -> Self {
        let Finding { list, stage, restriction, outcome, .. } = *finding;
        Self { list, stage, restriction, outcome }
    }
}

/// By place: of each text there is one copy, and a second would only cost a second outline. A list is of one stage.
impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.restriction, other.restriction)
            && std::ptr::eq(self.list, other.list)
            && self.outcome == other.outcome
    }
}

impl Eq for Line {}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.restriction.as_ptr() as usize ^ self.outcome as usize);
    }
}

/// The numbers of the outlines in a block.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    numbers: FxHashMap<Box<[Line]>, u32>,
    /// The last outline, and its number: most rows share that of the row before.
    lines: Vec<Line>,
    last: u32,
}

impl Outlines {
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
    }

    pub(crate) fn count(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// The number of these findings' outline, and whether it is new.
    pub(crate) fn number(&mut self, findings: &[Finding]) -> (u32, bool) {
        let is_same = self.lines.len() == findings.len()
            && self.lines.iter().zip(findings).all(|(line, finding)| *line == Line::of(finding));
        if is_same && !self.numbers.is_empty() {
            return (self.last, false);
        }
        self.lines.clear();
        self.lines.extend(findings.iter().map(Line::of));
        let known = self.numbers.get(&*self.lines).copied();
        self.last = known.unwrap_or(self.numbers.len() as u32);
        if known.is_none() {
            self.numbers.insert(self.lines.as_slice().into(), self.last);
        }
        (self.last, known.is_none())
    }
}

impl Field for Vec<Finding> {
    fn write(&self, out: &mut Out) {
        out.outline(self);
        // Each that has grounds by its distance from the one before; 0 ends them.
        let mut before = 0;
        for (place, Finding { evidence, micros, .. }) in (1..).zip(self) {
            if !evidence.is_empty() || *micros > 0 {
                out.number(place - before);
                evidence.write(out);
                micros.write(out);
                before = place;
            }
        }
        out.number(0);
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        let silent = |Line { list, stage, restriction, outcome }: &Line| Finding {
            list,
            stage: *stage,
            restriction,
            outcome: *outcome,
            evidence: Vec::new(),
            micros: 0,
        };
        let mut findings = Vec::from_iter(from.outline()?.iter().map(silent));
        let mut rest = findings.iter_mut();
        while let Some(skipped) = usize::read(from)?.checked_sub(1) {
            let finding = rest.nth(skipped)?;
            finding.evidence = Field::read(from)?;
            finding.micros = Field::read(from)?;
        }
        Some(findings)
    }
}
