//! `X-Portcullis`: the header that tells what was decided on a message, and those of its name that strangers have written.
//!
//! Nothing of what it says comes from a stranger: words of ours, codes, ids.

use facts::{Decision, Verdict};
use wire::milter::{Change, Header, Terms};

/// Its name.
const NAME: &str = "X-Portcullis";
/// The decisions that it tells, one for each recipient and those on the whole message; of further ones it tells how many.
pub(super) const DECISIONS_MAX: usize = 20;
/// The headers of its name that a message may come with. Postfix looks for each that is taken out from the beginning.
pub(super) const FORGED_MAX: u32 = 100;

/// What there is to tell of one message.
#[derive(Debug, Default)]
pub(super) struct VerdictHeader {
    /// How many headers of this name the message came with.
    forged: u32,
    /// What was decided, a line for each decision.
    lines: Vec<String>,
    /// The decisions for which there is no room.
    further: usize,
}

impl VerdictHeader {
    /// Looks at a header of the message.
    pub(super) fn hear(&mut self, header: &Header<'_>) {
        let is_forged = header.name.trim_ascii_end().eq_ignore_ascii_case(NAME.as_bytes());
        self.forged = self.forged.saturating_add(is_forged.into());
    }

    /// Whether the message came with more headers of this name than anybody takes out.
    pub(super) fn is_flooded(&self) -> bool {
        self.forged > FORGED_MAX
    }

    /// Takes a decision on.
    pub(super) fn tell(&mut self, decision: &Decision) {
        if self.lines.len() < DECISIONS_MAX {
            self.lines.push(line(decision));
        } else {
            self.further += 1;
        }
    }

    /// Appends what is to be done: what strangers have written goes, and ours is put before all others.
    pub(super) fn push(&self, terms: Terms, out: &mut Vec<u8>) {
        // From the last to the first, for whoever counts those that are left.
        for index in (1..=self.forged).rev() {
            terms.push_change(Change::ChangeHeader { index, name: NAME, value: "" }, out);
        }
        if self.lines.is_empty() {
            return;
        }
        let mut value = self.lines.join(",\n");
        if self.further > 0 {
            value += &format!(",\nand {} more", self.further);
        }
        terms.push_change(Change::InsertHeader { index: 0, name: NAME, value: &value }, out);
    }
}

/// `would reject 554 5.7.1 (block_listed); id=6GSD39SFC0007`
fn line(decision: &Decision) -> String {
    let Decision { id, verdict, reason, .. } = decision;
    let would = if decision.enforced.is_shadow() { "would " } else { "" };
    let refusal = decision.reply.as_ref().filter(|_| matches!(verdict, Verdict::Reject | Verdict::Defer));
    let codes = refusal.map(|reply| format!(" {} {}", reply.code, reply.enhanced)).unwrap_or_default();
    format!("{would}{verdict}{codes} ({reason}); id={id}")
}
