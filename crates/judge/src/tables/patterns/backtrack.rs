//! Searching by backtracking, for patterns that look around, refer back or never give back. Each step is paid for:
//! the crates that do this do not tell what a search has cost.

use regex_syntax::hir::{ClassBytes, Look};

use super::engine::{Groups, Spent, Work};
use super::syntax::{Expression, Node, Repeat};

/// The most operations of a pattern.
const OPERATIONS_MAX: usize = 10_000;
/// The most places to come back to.
const PLACES_MAX: usize = 100_000;
/// What an operation costs, in steps of an automaton.
const OPERATION_COST: usize = 4;
/// A group that has not matched.
const UNSET: usize = usize::MAX;

/// A pattern as operations.
#[derive(Debug)]
pub(super) struct Program {
    operations: Vec<Operation>,
    groups: usize,
    /// Two for each group, one for each loop.
    slots: usize,
}

#[derive(Debug)]
enum Operation {
    Set([u64; 4]),
    Look(Look),
    /// Go on at the first; come back to the second.
    Split(usize, usize),
    Jump(usize),
    /// Keep the position.
    Save(usize),
    /// Leave a loop whose last turn, begun where the slot says, matched nothing.
    Progress {
        slot: usize,
        end: usize,
    },
    Reference {
        group: usize,
        ignore_case: bool,
    },
    /// The operations up to `end`, `back` octets before.
    Around {
        back: usize,
        negated: bool,
        end: usize,
    },
    /// The operations up to `end`, with no coming back into them.
    Atomic {
        end: usize,
    },
    Done,
}

impl Program {
    /// Compiles an expression.
    pub(super) fn new(expression: &Expression) -> Result<Self, String> {
        let groups = expression.groups + 1;
        let mut program = Self { operations: Vec::new(), groups, slots: groups * 2 };
        program.emit(&expression.node)?;
        program.push(Operation::Done)?;
        Ok(program)
    }

    /// What the groups matched, if the pattern is found in `key`.
    pub(super) fn search(&self, key: &[u8], work: &Work) -> Result<Option<Groups>, Spent> {
        work.spend(self.slots)?;
        let mut search =
            Search { operations: &self.operations, key, slots: vec![UNSET; self.slots], places: Vec::new(), work };
        let is_anchored = matches!(self.operations.first(), Some(Operation::Look(Look::Start)));
        let starts = if is_anchored { 0..=0 } else { 0..=key.len() };
        for start in starts {
            if let Some(end) = search.run(0, start)? {
                let mut groups = vec![Some(start..end)];
                let bounds = search.slots.chunks_exact(2).take(self.groups).skip(1);
                groups.extend(bounds.map(|bounds| match *bounds {
                    [from, to] if from != UNSET && to != UNSET => Some(from..to),
                    _ => None,
                }));
                return Ok(Some(groups));
            }
        }
        Ok(None)
    }

    /// Appends an operation, and says where it stands.
    fn push(&mut self, operation: Operation) -> Result<usize, String> {
        if self.operations.len() >= OPERATIONS_MAX {
            return Err(format!("the pattern is too large: more than {OPERATIONS_MAX} operations"));
        }
        self.operations.push(operation);
        Ok(self.operations.len() - 1)
    }

    fn set(&mut self, at: usize, operation: Operation) {
        if let Some(place) = self.operations.get_mut(at) {
            *place = operation;
        }
    }

    fn end(&self) -> usize {
        self.operations.len()
    }

    fn emit(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Empty => Ok(()),
            Node::Set(set) => self.push(Operation::Set(bits(set))).map(drop),
            Node::Look(look) => self.push(Operation::Look(*look)).map(drop),
            Node::Concat(parts) => parts.iter().try_for_each(|part| self.emit(part)),
            Node::Alternation(branches) => self.emit_alternation(branches),
            Node::Repeat(repeat) => self.emit_repeat(repeat),
            Node::Group(group, node) => {
                self.push(Operation::Save(group * 2))?;
                self.emit(node)?;
                self.push(Operation::Save(group * 2 + 1)).map(drop)
            }
            Node::Around { node, behind, negated } => self.emit_around(node, *behind, *negated),
            Node::Atomic(node) => {
                let at = self.push(Operation::Done)?;
                self.emit(node)?;
                self.push(Operation::Done)?;
                self.set(at, Operation::Atomic { end: self.end() });
                Ok(())
            }
            Node::Reference { group, ignore_case } => {
                self.push(Operation::Reference { group: *group, ignore_case: *ignore_case }).map(drop)
            }
        }
    }

    fn emit_alternation(&mut self, branches: &[Node]) -> Result<(), String> {
        let Some((last, others)) = branches.split_last() else { return Ok(()) };
        let mut jumps = Vec::new();
        for branch in others {
            let split = self.push(Operation::Done)?;
            self.emit(branch)?;
            jumps.push(self.push(Operation::Done)?);
            self.set(split, Operation::Split(split + 1, self.end()));
        }
        self.emit(last)?;
        for jump in jumps {
            self.set(jump, Operation::Jump(self.end()));
        }
        Ok(())
    }

    fn emit_repeat(&mut self, repeat: &Repeat) -> Result<(), String> {
        for _ in 0..repeat.min {
            let before = self.end();
            self.emit(&repeat.node)?;
            if self.end() == before {
                return Ok(());
            }
        }
        match repeat.max {
            None => self.emit_loop(repeat),
            Some(max) => {
                let mut splits = Vec::new();
                for _ in repeat.min..max {
                    splits.push(self.push(Operation::Done)?);
                    self.emit(&repeat.node)?;
                }
                for split in splits {
                    self.set(split, branch(repeat.greedy, split + 1, self.end()));
                }
                Ok(())
            }
        }
    }

    fn emit_loop(&mut self, repeat: &Repeat) -> Result<(), String> {
        let slot = self.slots;
        self.slots += 1;
        let split = self.push(Operation::Done)?;
        self.push(Operation::Save(slot))?;
        self.emit(&repeat.node)?;
        let progress = self.push(Operation::Done)?;
        self.push(Operation::Jump(split))?;
        self.set(progress, Operation::Progress { slot, end: self.end() });
        self.set(split, branch(repeat.greedy, split + 1, self.end()));
        Ok(())
    }

    fn emit_around(&mut self, node: &Node, behind: bool, negated: bool) -> Result<(), String> {
        // Branches behind may differ in length: each looks back for itself.
        if let Node::Alternation(branches) = node
            && behind
        {
            let each = branches.iter().map(|branch| Node::Around { node: branch.clone().into(), behind, negated });
            let each = each.collect();
            return self.emit(&if negated { Node::Concat(each) } else { Node::Alternation(each) });
        }
        let back = if behind { node.width().ok_or("lookbehind assertion is not fixed length")? } else { 0 };
        let at = self.push(Operation::Done)?;
        self.emit(node)?;
        self.push(Operation::Done)?;
        self.set(at, Operation::Around { back, negated, end: self.end() });
        Ok(())
    }
}

fn branch(greedy: bool, into: usize, past: usize) -> Operation {
    if greedy { Operation::Split(into, past) } else { Operation::Split(past, into) }
}

fn bits(set: &ClassBytes) -> [u64; 4] {
    let mut bits = [0; 4];
    for octet in set.iter().flat_map(|range| range.start()..=range.end()) {
        if let Some(word) = bits.get_mut(usize::from(octet >> 6)) {
            *word |= 1 << (octet & 63);
        }
    }
    bits
}

fn holds(bits: [u64; 4], octet: u8) -> bool {
    bits.get(usize::from(octet >> 6)).is_some_and(|word| word >> (octet & 63) & 1 == 1)
}

/// One search under way.
struct Search<'a> {
    operations: &'a [Operation],
    key: &'a [u8],
    slots: Vec<usize>,
    places: Vec<Place>,
    work: &'a Work,
}

/// What coming back means.
enum Place {
    Go { operation: usize, at: usize },
    Restore { slot: usize, old: usize },
}

/// What an operation leads to.
enum Step {
    Go { operation: usize, at: usize },
    Back,
    Done,
}

impl Search<'_> {
    /// Runs from `operation` to the next `Done`: where the match ends, if there is one.
    fn run(&mut self, mut operation: usize, mut at: usize) -> Result<Option<usize>, Spent> {
        let base = self.places.len();
        loop {
            self.work.spend(OPERATION_COST)?;
            match self.step(operation, at)? {
                Step::Go { operation: next, at: then } => (operation, at) = (next, then),
                Step::Done => return Ok(Some(at)),
                Step::Back => match self.back(base) {
                    Some(place) => (operation, at) = place,
                    None => return Ok(None),
                },
            }
        }
    }

    fn step(&mut self, operation: usize, at: usize) -> Result<Step, Spent> {
        let go = |operation, at| Ok(Step::Go { operation, at });
        let go_if = |condition, at| if condition { go(operation + 1, at) } else { Ok(Step::Back) };
        let Some(todo) = self.operations.get(operation) else { return Ok(Step::Back) };
        match *todo {
            Operation::Done => Ok(Step::Done),
            Operation::Set(bits) => go_if(self.key.get(at).is_some_and(|octet| holds(bits, *octet)), at + 1),
            Operation::Look(look) => go_if(looks(look, self.key, at), at),
            Operation::Jump(to) => go(to, at),
            Operation::Split(first, second) => {
                self.place(Place::Go { operation: second, at })?;
                go(first, at)
            }
            Operation::Save(slot) => {
                let old = self.slots.get_mut(slot).map(|place| std::mem::replace(place, at));
                self.place(Place::Restore { slot, old: old.unwrap_or(UNSET) })?;
                go(operation + 1, at)
            }
            Operation::Progress { slot, end } => {
                let stands_still = self.slots.get(slot) == Some(&at);
                go(if stands_still { end } else { operation + 1 }, at)
            }
            Operation::Reference { group, ignore_case } => {
                let length = self.reference(group, ignore_case, at)?;
                go_if(length.is_some(), at + length.unwrap_or(0))
            }
            Operation::Atomic { end } => {
                let base = self.places.len();
                let ended = self.run(operation + 1, at)?;
                self.forget_ways(base);
                Ok(ended.map_or(Step::Back, |at| Step::Go { operation: end, at }))
            }
            Operation::Around { back, negated, end } => {
                let base = self.places.len();
                let matched = match at.checked_sub(back) {
                    Some(start) => self.run(operation + 1, start)?.is_some(),
                    None => false,
                };
                self.forget_ways(base);
                if matched != negated { go(end, at) } else { Ok(Step::Back) }
            }
        }
    }

    fn place(&mut self, place: Place) -> Result<(), Spent> {
        if self.places.len() >= PLACES_MAX {
            return Err(Spent);
        }
        self.places.push(place);
        Ok(())
    }

    /// The last way that was not taken, with everything since undone.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.places.len() > base {
            match self.places.pop()? {
                Place::Go { operation, at } => return Some((operation, at)),
                Place::Restore { slot, old } => {
                    if let Some(place) = self.slots.get_mut(slot) {
                        *place = old;
                    }
                }
            }
        }
        None
    }

    /// What was matched since `base` stays; other ways to match it are given up.
    fn forget_ways(&mut self, base: usize) {
        let kept = self.places.split_off(base.min(self.places.len()));
        self.places.extend(kept.into_iter().filter(|place| matches!(place, Place::Restore { .. })));
    }

    /// How long the text of `group` is, if it stands at `at` once more. A group that has not matched is nowhere.
    fn reference(&mut self, group: usize, ignore_case: bool, at: usize) -> Result<Option<usize>, Spent> {
        let bound = |slot: usize| self.slots.get(slot).copied().filter(|bound| *bound != UNSET);
        let (Some(from), Some(to)) = (bound(group * 2), bound(group * 2 + 1)) else { return Ok(None) };
        let (Some(text), Some(here)) = (self.key.get(from..to), self.key.get(at..)) else { return Ok(None) };
        self.work.spend(text.len())?;
        let same = match here.get(..text.len()) {
            Some(here) if ignore_case => here.eq_ignore_ascii_case(text),
            here => here == Some(text),
        };
        Ok(same.then_some(text.len()))
    }
}

/// Whether the place between two octets is what `look` asks for.
fn looks(look: Look, key: &[u8], at: usize) -> bool {
    let is_word = |octet: Option<&u8>| octet.is_some_and(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
    let before = at.checked_sub(1).and_then(|before| key.get(before));
    let after = key.get(at);
    match look {
        Look::Start => at == 0,
        Look::End => at == key.len(),
        Look::StartLF => before.is_none_or(|octet| *octet == b'\n'),
        Look::EndLF => after.is_none_or(|octet| *octet == b'\n'),
        Look::WordAscii => is_word(before) != is_word(after),
        Look::WordAsciiNegate => is_word(before) == is_word(after),
        Look::WordStartAscii => !is_word(before) && is_word(after),
        Look::WordEndAscii => is_word(before) && !is_word(after),
        // The two syntaxes make no others.
        _ => false,
    }
}
