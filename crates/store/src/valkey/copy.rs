//! What this host knows of what Valkey has: by it an attempt is one round trip, and goes on while Valkey is away.

use std::mem;

use rustc_hash::FxHashMap;

use super::value::kind;
use crate::engine::{RECENT_MAX, Row};
use crate::greylist::{Seconds, Terms};
use crate::key::{Key, Named, Secret, read_names};
use crate::recent::Recent;

/// How many octets of memory the changes may take that Valkey has not been told; over it nothing new is remembered.
pub(crate) const UNWRITTEN_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub(crate) struct Copy {
    /// What Valkey had.
    recent: Recent<Row>,
    /// What it has not been told.
    unwritten: FxHashMap<Key, Unwritten>,
    octets: usize,
    /// When something was changed last, and on which terms.
    latest: Option<(Seconds, Terms)>,
}

#[derive(Debug)]
struct Unwritten {
    row: Row,
    /// What Valkey had, as far as is known.
    stored: Option<Row>,
    names: Box<[u8]>,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub row: Option<Row>,
    /// What Valkey has, as far as is known.
    pub stored: Option<Row>,
    /// Whether Valkey has not been told.
    pub unwritten: bool,
}

impl Copy {
    /// What is known of a key.
    pub(crate) fn look(&self, key: Key) -> Known {
        match self.unwritten.get(&key) {
            Some(change) => Known { row: Some(change.row), stored: change.stored, unwritten: true },
            None => {
                let row = self.recent.get(key);
                Known { row, stored: row, unwritten: false }
            }
        }
    }

    /// Valkey has this now. Says whether it was told what it had not been.
    pub(crate) fn settle(&mut self, key: Key, row: Option<Row>, was_unwritten: bool) -> bool {
        // What changed while Valkey was being told is told later.
        if !was_unwritten && self.unwritten.contains_key(&key) {
            return false;
        }
        let told = self.forget(key);
        if let Some(row) = row {
            self.recent.keep(key, row, RECENT_MAX / 2);
        }
        told
    }

    /// Remembers what Valkey is to be told. Says whether there was room.
    pub(crate) fn change(&mut self, named: &Named, row: Row, (now, terms): (Seconds, Terms)) -> bool {
        self.latest = Some((now, terms));
        if let Some(change) = self.unwritten.get_mut(&named.key) {
            change.row = row;
            return true;
        }
        let more = weight(&named.names);
        if self.octets + more > UNWRITTEN_MAX {
            return false;
        }
        let stored = self.recent.get(named.key);
        self.recent.forget(named.key);
        self.unwritten.insert(named.key, Unwritten { row, stored, names: named.names.as_slice().into() });
        self.octets += more;
        true
    }

    /// Knows nothing of it any more. Says whether Valkey was still to be told of it.
    pub(crate) fn forget(&mut self, key: Key) -> bool {
        self.recent.forget(key);
        let change = self.unwritten.remove(&key);
        self.octets -= change.as_ref().map_or(0, |change| weight(&change.names));
        change.is_some()
    }

    /// What Valkey is to be told.
    pub(crate) fn unwritten(&self) -> Vec<Key> {
        self.unwritten.keys().copied().collect()
    }

    /// One of those, with its names, and as of when and on which terms it is remembered.
    pub(crate) fn named(&self, key: Key) -> Option<(Named, Seconds, Terms)> {
        let (now, terms) = self.latest?;
        let names = self.unwritten.get(&key)?.names.to_vec();
        Some((Named { key, names }, now, terms))
    }

    /// Valkey has another secret than we thought: under it everything has another key. Says how much is lost, as only its
    /// hash was kept.
    pub(crate) fn rekey(&mut self, secret: &Secret) -> usize {
        let Self { unwritten, latest, .. } = mem::take(self);
        let mut lost = 0;
        for change in unwritten.into_values() {
            let names = read_names(&change.names).filter(|_| !change.names.is_empty());
            match names.zip(latest) {
                Some((names, latest)) => {
                    let named = secret.named(kind(change.row), names, true);
                    self.change(&named, change.row, latest);
                }
                None => lost += 1,
            }
        }
        lost
    }

    #[cfg(test)]
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }
}

/// What a change takes of the room.
fn weight(names: &[u8]) -> usize {
    mem::size_of::<(Key, Unwritten)>() * 3 / 2 + names.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::greylist::Client;
    use crate::key::Kind;

    const TERMS: Terms = Terms {
        delay: Duration::from_secs(300),
        retry_window: Duration::from_secs(1_000),
        max_age: Duration::from_secs(9_000),
        ..Terms::POSTGREY
    };

    fn row(count: u32) -> Row {
        Row::Client(Client { count, last: 1 })
    }

    #[test]
    fn what_valkey_was_not_told_stays_until_it_is() {
        let secret = Secret::random();
        let named = secret.named(Kind::Client, ["192.0.2.1", "", ""], true);
        let mut copy = Copy::default();
        assert_eq!(copy.look(named.key), Known::default());
        assert!(!copy.settle(named.key, Some(row(1)), false));
        assert!(copy.change(&named, row(2), (7, TERMS)));
        assert!(!copy.settle(named.key, Some(row(1)), false), "somebody else told of something older");
        let known = Known { row: Some(row(2)), stored: Some(row(1)), unwritten: true };
        assert_eq!(copy.look(named.key), known);
        assert_eq!(copy.unwritten(), [named.key]);
        assert_eq!(copy.named(named.key).unwrap().0.names, named.names);
        assert!(copy.settle(named.key, Some(row(2)), true));
        assert_eq!(copy.look(named.key), Known { row: Some(row(2)), stored: Some(row(2)), unwritten: false });
        assert_eq!((copy.unwritten(), copy.octets()), (Vec::new(), 0));
    }

    #[test]
    fn another_secret_takes_along_what_has_names() {
        let (old, new) = [Secret::random(), Secret::random()].into();
        let mut copy = Copy::default();
        for (name, keep) in [("192.0.2.1", true), ("192.0.2.2", false)] {
            copy.change(&old.named(Kind::Client, [name, "", ""], keep), row(3), (7, TERMS));
        }
        assert_eq!(copy.rekey(&new), 1);
        let named = new.named(Kind::Client, ["192.0.2.1", "", ""], true);
        assert_eq!(copy.unwritten(), [named.key]);
        assert_eq!(copy.look(named.key), Known { row: Some(row(3)), stored: None, unwritten: true });
    }

    #[test]
    fn what_valkey_was_not_told_is_bounded() {
        let secret = Secret::random();
        let mut copy = Copy::default();
        let name = "x".repeat(1_000);
        let kept = (0..40_000)
            .take_while(|number| {
                let named = secret.named(Kind::Client, [&format!("{number}{name}"), "", ""], true);
                copy.change(&named, row(1), (7, TERMS))
            })
            .count();
        assert!((10_000..20_000).contains(&kept), "{kept}");
        assert!(copy.octets() <= UNWRITTEN_MAX);
    }
}
