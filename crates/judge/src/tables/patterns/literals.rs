//! What must stand in a key if a pattern is to be found there: most patterns of a table need not be tried at all.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_syntax::hir::ClassBytes;

use super::engine::{Spent, Work};
use super::syntax::{Node, Repeat};

/// Texts that are shorter stand in too many keys.
const LENGTH_MIN: usize = 3;
/// The end of a longer text does as well, and no more than so many can end at the same place.
const LENGTH_MAX: usize = 32;
/// What a step through all texts costs: it goes to and fro in a large automaton.
const STEP_COST: usize = 16;

/// The texts of a table, numbered as they came.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<Vec<u8>, usize>);

/// The texts of a table, ready to search for.
#[derive(Debug)]
pub(super) struct Literals {
    automaton: AhoCorasick,
}

/// Which texts stand in a key.
#[derive(Debug)]
pub(super) struct Present(Vec<bool>);

impl Texts {
    /// The number of the text that every match of `node` contains, if one is known.
    pub(super) fn number(&mut self, node: &Node) -> Option<usize> {
        let text = required(node)?;
        let next = self.0.len();
        Some(*self.0.entry(text).or_insert(next))
    }

    /// Ready to search for; `None` if there are no texts, or too many.
    pub(super) fn ready(self) -> Option<Literals> {
        let mut texts: Vec<_> = self.0.into_iter().collect();
        texts.sort_unstable_by_key(|(_, number)| *number);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(texts.iter().map(|(text, _)| text));
        automaton.ok().filter(|automaton| automaton.patterns_len() > 0).map(|automaton| Literals { automaton })
    }
}

impl Literals {
    /// The texts that stand in `key`, in any case.
    pub(super) fn present(&self, key: &[u8], work: &Work) -> Result<Present, Spent> {
        work.spend(key.len() * STEP_COST)?;
        let mut present = vec![false; self.automaton.patterns_len()];
        for found in self.automaton.find_overlapping_iter(key) {
            work.spend(1)?;
            if let Some(seen) = present.get_mut(found.pattern().as_usize()) {
                *seen = true;
            }
        }
        Ok(Present(present))
    }
}

impl Present {
    pub(super) fn has(&self, number: usize) -> bool {
        self.0.get(number).is_none_or(|seen| *seen)
    }
}

/// The longest text that stands in whatever `node` matches, in lower case.
fn required(node: &Node) -> Option<Vec<u8>> {
    let mut texts = Runs::default();
    texts.walk(node);
    texts.end();
    (texts.longest.len() >= LENGTH_MIN).then(|| {
        let start = texts.longest.len().saturating_sub(LENGTH_MAX);
        texts.longest.split_off(start)
    })
}

/// A walk through an expression, for octets that follow one another in every match.
#[derive(Default)]
struct Runs {
    run: Vec<u8>,
    longest: Vec<u8>,
}

impl Runs {
    fn walk(&mut self, node: &Node) {
        match node {
            // They match where they stand, and nothing.
            Node::Empty | Node::Look(_) | Node::Around { .. } => {}
            Node::Set(set) => match only_letter(set) {
                Some(octet) => self.run.push(octet),
                None => self.end(),
            },
            Node::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            Node::Group(_, node) | Node::Atomic(node) => self.walk(node),
            // It stands there once at least; what follows may follow another one.
            Node::Repeat(Repeat { node, min: 1.., .. }) => {
                self.walk(node);
                self.end();
            }
            Node::Repeat(_) | Node::Alternation(_) | Node::Reference { .. } => self.end(),
        }
    }

    fn end(&mut self) {
        if self.run.len() > self.longest.len() {
            std::mem::swap(&mut self.run, &mut self.longest);
        }
        self.run.clear();
    }
}

/// The octet that a set consists of, whatever its case.
fn only_letter(set: &ClassBytes) -> Option<u8> {
    let mut octets = set.iter().flat_map(|range| [range.start(), range.end()]).map(|octet| octet.to_ascii_lowercase());
    let first = octets.next()?;
    let is_one = set.iter().all(|range| range.start() == range.end()) && octets.all(|octet| octet == first);
    is_one.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, pcre};
    use super::*;

    #[test]
    fn what_every_match_contains() {
        for (pattern, expected) in [
            (r"\.Example$", Some(".example")),
            (r"^(.+[._-])?\d+\.dyn\.isp\.(com|net)$", Some(".dyn.isp.")),
            ("a(?:bc)d", Some("abcd")),
            ("ab(cd)+ef", Some("abcd")),
            ("ab(cd)*efg", Some("efg")),
            ("abc?def", Some("def")),
            ("ab{2}cde", Some("cde")),
            ("ab{0}cde", Some("cde")),
            ("one|two", None),
            ("ab", None),
            ("(?=abc)x", None),
            ("abc(?!d)e", Some("abce")),
            (r"(a)bcd\1efghi", Some("efghi")),
            ("[aA][bB][cC]", Some("abc")),
            ("a[bc]def[a-a]", Some("defa")),
            (&"x".repeat(40), Some(&*"x".repeat(LENGTH_MAX))),
        ] {
            let node = pcre::parse(pattern, Flags::default()).unwrap().node;
            assert_eq!(required(&node).as_deref(), expected.map(str::as_bytes), "{pattern}");
        }
    }
}
