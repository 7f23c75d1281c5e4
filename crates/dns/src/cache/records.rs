//! The records in the cache.

use std::mem::size_of;
use std::sync::Arc;

use facts::{DnsAnswer, Record};

use crate::question::Question;

/// The answers of a shelf that have records, within a number of octets: a stranger's TXT records can be huge. What was not
/// found again since the hand last came by gives way.
#[derive(Debug, Default)]
pub(super) struct Records {
    places: Vec<Option<Held>>,
    free: Vec<u16>,
    hand: usize,
    octets: usize,
    octets_max: usize,
}

#[derive(Debug)]
struct Held {
    answer: Arc<DnsAnswer>,
    was_found: bool,
}

impl Records {
    pub(super) fn new(octets_max: usize) -> Self {
        Self { octets_max, ..Self::default() }
    }

    /// How many octets are taken, and in how many places.
    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, usize) {
        (self.octets, self.places.len())
    }

    /// The answer to `question`, if it still stands at `place`.
    pub(super) fn find(&mut self, place: u16, question: &Question<'_>) -> Option<Arc<DnsAnswer>> {
        let held = self.places.get_mut(usize::from(place))?.as_mut()?;
        if Question::of(&held.answer) != *question {
            return None;
        }
        if !held.was_found {
            held.was_found = true;
        }
        Some(Arc::clone(&held.answer))
    }

    /// Where `answer` stands now; nowhere if it is too large.
    pub(super) fn insert(&mut self, answer: Arc<DnsAnswer>) -> Option<u16> {
        let octets = octets(&answer);
        if octets > self.octets_max {
            return None;
        }
        while self.octets + octets > self.octets_max || self.free.is_empty() && self.places.len() > u16::MAX.into() {
            self.turn();
        }
        self.octets += octets;
        let held = Some(Held { answer, was_found: false });
        if let Some(place) = self.free.pop() {
            self.places[usize::from(place)] = held;
            return Some(place);
        }
        self.places.push(held);
        u16::try_from(self.places.len() - 1).ok()
    }

    /// The clock algorithm: what was found gets another round.
    fn turn(&mut self) {
        self.hand = if self.hand + 1 < self.places.len() { self.hand + 1 } else { 0 };
        match self.places.get_mut(self.hand) {
            Some(Some(held)) if held.was_found => held.was_found = false,
            Some(place) => {
                if let (Some(held), Ok(free)) = (place.take(), u16::try_from(self.hand)) {
                    self.octets -= octets(&held.answer);
                    self.free.push(free);
                }
            }
            None => {}
        }
    }
}

/// About what an answer takes.
fn octets(answer: &DnsAnswer) -> usize {
    let text = |record: &Record| match record {
        Record::A(_) | Record::Aaaa(_) => 0,
        Record::Mx { exchange: text, .. } | Record::Ns(text) | Record::Ptr(text) | Record::Txt(text) => text.len(),
    };
    let records: usize = answer.records().iter().map(|record| size_of::<Record>() + text(record)).sum();
    size_of::<DnsAnswer>() + answer.name.len() + records
}
