//! To whom our own users write.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use crate::greylist::{Attempt, Greylisted, Seconds, time, unix};
use crate::key::{Key, Kind, Secret};

/// How many correspondents are remembered. Over it those to whom nobody has written for longest are forgotten.
pub(crate) const CORRESPONDENTS_MAX: usize = 200_000;
/// What is known of a correspondent is not written again for so many seconds.
const GRAIN: Seconds = 86_400;

/// All to whom one of ours has written.
#[derive(Debug, Default)]
pub(crate) struct Correspondents(Mutex<Learnt>);

/// When one of ours has last written to somebody.
#[derive(Debug, Default)]
struct Learnt {
    last: FxHashMap<Key, Seconds>,
    /// What the engine has not written.
    unwritten: FxHashMap<Key, Option<Seconds>>,
}

impl Correspondents {
    /// What is said to an attempt of a sender to whom one of ours has written.
    pub(crate) fn welcomes(&self, attempt: &Attempt<'_>, secret: &Secret) -> Option<Greylisted> {
        if attempt.terms.correspondents.is_zero() || attempt.sender_address.is_empty() {
            return None;
        }
        let learnt = self.learnt();
        if learnt.last.is_empty() {
            return None;
        }
        let last = time(*learnt.last.get(&correspondent(attempt.sender_address, secret))?);
        let age = attempt.now.duration_since(last).unwrap_or(Duration::ZERO);
        (age <= attempt.terms.correspondents).then_some(Greylisted::Correspondent { last })
    }

    /// One of ours writes to this address.
    pub(crate) fn learn(&self, address: &str, now: SystemTime, secret: &Secret) {
        self.learnt().learn(correspondent(address, secret), unix(now));
    }

    /// How many correspondents are remembered.
    pub(crate) fn len(&self) -> usize {
        self.learnt().last.len()
    }

    /// Somebody else has learnt of these.
    pub(crate) fn take_on(&self, others: impl IntoIterator<Item = (Key, Seconds)>) {
        let mut learnt = self.learnt();
        for (key, last) in others {
            let known = learnt.last.entry(key).or_default();
            *known = last.max(*known);
        }
        learnt.crowd_out();
    }

    /// Whether there is something to be written.
    pub(crate) fn has_unwritten(&self) -> bool {
        !self.learnt().unwritten.is_empty()
    }

    /// What is to be written: when one was last written to, or nothing where it is forgotten.
    pub(crate) fn take_unwritten(&self) -> FxHashMap<Key, Option<Seconds>> {
        mem::take(&mut self.learnt().unwritten)
    }

    /// What could not be written waits again.
    pub(crate) fn put_back(&self, unwritten: FxHashMap<Key, Option<Seconds>>) {
        let newer = mem::replace(&mut self.learnt().unwritten, unwritten);
        self.learnt().unwritten.extend(newer);
    }

    /// Nothing of it is written any more.
    pub(crate) fn lose(&self) {
        let mut learnt = self.learnt();
        learnt.unwritten = learnt.last.iter().map(|(key, last)| (*key, Some(*last))).collect();
    }

    /// The secret is another one: nobody knows them under their keys any more.
    pub(crate) fn forget(&self) {
        *self.learnt() = Learnt::default();
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        // A panic under the lock leaves at worst an entry too few or too many.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learnt {
    fn learn(&mut self, key: Key, now: Seconds) {
        if self.last.get(&key).is_some_and(|last| now < last.saturating_add(GRAIN)) {
            return;
        }
        self.last.insert(key, now);
        self.unwritten.insert(key, Some(now));
        self.crowd_out();
    }

    /// Forgets an eighth where there are too many.
    fn crowd_out(&mut self) {
        if self.last.len() <= CORRESPONDENTS_MAX {
            return;
        }
        let over = self.last.len() - CORRESPONDENTS_MAX / 8 * 7;
        let mut ages = Vec::from_iter(self.last.iter().map(|(key, last)| (*last, *key)));
        let (oldest, ..) = ages.select_nth_unstable(over);
        for (_, key) in oldest {
            self.last.remove(key);
            self.unwritten.insert(*key, None);
        }
    }
}

fn correspondent(address: &str, secret: &Secret) -> Key {
    secret.named(Kind::Correspondent, [address, "", ""], false).key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_crowded_out_the_oldest_first() {
        let mut learnt = Learnt::default();
        for number in 0..=CORRESPONDENTS_MAX as u128 {
            learnt.learn(Key(number), 1_000 + (number % 1_000) as u32);
        }
        assert_eq!(learnt.last.len(), CORRESPONDENTS_MAX / 8 * 7);
        assert!(learnt.last.values().all(|last| *last >= 1_125), "the oldest eighth");
        let gone = learnt.unwritten.values().filter(|last| last.is_none()).count();
        assert_eq!(gone, CORRESPONDENTS_MAX + 1 - CORRESPONDENTS_MAX / 8 * 7);
    }
}
