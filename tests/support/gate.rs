//! A gate for questions: no answer passes until the whole expected wave has come. It proves, without a clock, that
//! questions are asked side by side.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

use hickory_proto::rr::RecordType;

/// A name in lower case, and a type.
pub type Question = (String, RecordType);

/// Waves of questions still to come, and the answers withheld meanwhile.
pub struct Gate<T> {
    waves: VecDeque<BTreeSet<Question>>,
    arrived: BTreeSet<Question>,
    withheld: Vec<T>,
    unexpected: BTreeSet<Question>,
    wave: usize,
}

impl<T> Gate<T> {
    /// A gate that expects these waves, one after the other.
    pub fn new(waves: &[&[(&str, RecordType)]]) -> Self {
        let wave =
            |wave: &&[(&str, RecordType)]| wave.iter().map(|(name, kind)| (name.to_lowercase(), *kind)).collect();
        Self {
            waves: waves.iter().map(wave).collect(),
            arrived: BTreeSet::new(),
            withheld: Vec::new(),
            unexpected: BTreeSet::new(),
            wave: 1,
        }
    }

    /// Takes a question with its answer (`None`: it gets none), and returns the answers that may go now.
    ///
    /// A question that the wave does not hold is withheld too, and held against the asker at the end.
    pub fn arrive(&mut self, question: Question, answer: Option<T>) -> Vec<T> {
        self.withheld.extend(answer);
        match self.waves.front() {
            Some(wave) if wave.contains(&question) => drop(self.arrived.insert(question)),
            // A resolver that asks the next server repeats itself.
            _ if self.arrived.contains(&question) => {}
            _ => drop(self.unexpected.insert(question)),
        }
        if self.waves.front().is_some_and(|wave| wave.is_subset(&self.arrived)) {
            self.waves.pop_front();
            self.wave += 1;
            return std::mem::take(&mut self.withheld);
        }
        if self.is_done() { std::mem::take(&mut self.withheld) } else { Vec::new() }
    }

    /// Whether the last wave has come.
    pub fn is_done(&self) -> bool {
        self.waves.is_empty()
    }

    /// Whether exactly the expected questions came, each in its wave.
    pub fn verdict(&self) -> Result<(), String> {
        let mut text = String::new();
        if let Some(wave) = self.waves.front() {
            let _ = writeln!(text, "wave {} of the DNS questions is not complete; missing:", self.wave);
            for (name, kind) in wave.difference(&self.arrived) {
                let _ = writeln!(text, "  {name} {kind}");
            }
        }
        if !self.unexpected.is_empty() {
            let _ = writeln!(text, "asked, but in no wave or before its wave:");
            for (name, kind) in &self.unexpected {
                let _ = writeln!(text, "  {name} {kind}");
            }
        }
        if text.is_empty() { Ok(()) } else { Err(text) }
    }

    /// The answers still withheld.
    pub fn into_withheld(self) -> impl Iterator<Item = T> {
        self.withheld.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_for_the_whole_wave() {
        let question = |name: &str| (name.to_owned(), RecordType::A);
        let mut gate = Gate::new(&[&[("a", RecordType::A), ("b", RecordType::A)], &[("c", RecordType::A)]]);
        assert!(gate.arrive(question("a"), Some(1)).is_empty());
        assert!(gate.verdict().unwrap_err().contains("  b A"));
        assert_eq!(gate.arrive(question("b"), Some(2)), [1, 2]);
        assert_eq!(gate.arrive(question("c"), Some(3)), [3]);
        assert!(gate.is_done());
        assert_eq!(gate.verdict(), Ok(()));
    }

    #[test]
    fn a_question_before_its_wave_is_told() {
        let mut gate = Gate::new(&[&[("a", RecordType::A)], &[("b", RecordType::A)]]);
        gate.arrive(("b".into(), RecordType::A), Some(1));
        assert!(gate.verdict().unwrap_err().ends_with("before its wave:\n  b A\n"));
    }
}
