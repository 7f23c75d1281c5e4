//! A 256th of all keys: what waits to be written, what was used lately, and where the file has the others.

use std::mem;

use rustc_hash::FxHashMap;

use super::batch::Move;
use super::index::Index;
use super::record::Row;
use crate::greylist::{Seconds, Terms};
use crate::key::{Key, Named};
use crate::recent::Recent;

/// What is known of a key, and the block of the file that has it so far; 0 where none has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub row: Row,
    pub place: u32,
}

/// A change that is not yet in the file.
#[derive(Debug)]
pub(crate) struct Change {
    pub known: Known,
    pub names: Box<[u8]>,
}

/// What somebody found in the file under a key, when the index named these places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub key: Key,
    pub places: Vec<u32>,
    pub found: Option<Known>,
}

/// What the shard says of a key.
#[derive(Debug)]
pub(crate) enum Looked {
    Known(Option<Known>),
    /// One of these places has it, or none does.
    InFile(Vec<u32>),
}

#[derive(Debug, Default)]
pub(crate) struct Shard {
    /// Changes since the last commit began.
    pending: FxHashMap<Key, Change>,
    /// Changes that the commit under way writes.
    writing: FxHashMap<Key, Change>,
    recent: Recent<Known>,
    pub index: Index,
    /// When something was changed last, and on which terms: by these the writer knows what is expired.
    pub latest: Option<(Seconds, Terms)>,
}

/// What a change takes of the room for changes that wait.
pub(crate) fn weight(names: &[u8]) -> usize {
    mem::size_of::<(Key, Change)>() * 3 / 2 + names.len()
}

impl Shard {
    /// How many changes wait to be written.
    pub(crate) fn unwritten(&self) -> usize {
        self.pending.len() + self.writing.len()
    }

    /// What is known of a key. What was read counts only if the index still names the same places.
    pub(crate) fn look(&self, key: Key, reads: &[Read]) -> Looked {
        let change = self.pending.get(&key).or_else(|| self.writing.get(&key));
        if let Some(known) = change.map(|change| change.known).or_else(|| self.recent.get(key)) {
            return Looked::Known(Some(known));
        }
        let places = Vec::from_iter(self.index.places(key.print().fingerprint()));
        if places.is_empty() {
            return Looked::Known(None);
        }
        match reads.iter().find(|read| read.key == key && read.places == places) {
            Some(read) => Looked::Known(read.found),
            None => Looked::InFile(places),
        }
    }

    /// Remembers a change, and says what it takes of the room for changes: nothing if the key was changed already.
    pub(crate) fn change(&mut self, named: &Named, row: Row, place: u32) -> usize {
        let known = Known { row, place };
        if let Some(change) = self.pending.get_mut(&named.key) {
            change.known = known;
            return 0;
        }
        self.pending.insert(named.key, Change { known, names: named.names.as_slice().into() });
        weight(&named.names)
    }

    /// Keeps in memory what was read and not changed.
    pub(crate) fn keep(&mut self, key: Key, known: Known, half: usize) {
        self.recent.keep(key, known, half);
    }

    /// The changes so far are those that are written now.
    pub(crate) fn begin_writing(&mut self) -> &FxHashMap<Key, Change> {
        debug_assert!(self.writing.is_empty(), "one commit at a time");
        mem::swap(&mut self.pending, &mut self.writing);
        &self.writing
    }

    pub(crate) fn is_writing(&self, key: Key) -> bool {
        self.writing.contains_key(&key)
    }

    /// An entry is now in another block of the file; 0 for one that was removed, or was not there before. If it was being
    /// written, it waits no more. Says how much room is free again.
    pub(crate) fn moved(&mut self, Move { key, from, to }: Move, half: usize) -> usize {
        let fingerprint = key.print().fingerprint();
        if from != 0 {
            self.index.remove(fingerprint, from);
        }
        if to != 0 {
            self.index.insert(fingerprint, to);
        }
        if let Some(change) = self.pending.get_mut(&key) {
            change.known.place = to;
        }
        if let Some(change) = self.writing.remove(&key) {
            self.recent.keep(key, Known { place: to, ..change.known }, half);
            return weight(&change.names);
        }
        if let Some(known) = self.recent.get_mut(key) {
            known.place = to;
        }
        0
    }

    /// What was being written is not in the file: it waits again, unless it was changed since. Says what is free again.
    pub(crate) fn abandon_writing(&mut self) -> usize {
        let mut freed = 0;
        for (key, change) in self.writing.drain() {
            match self.pending.entry(key) {
                std::collections::hash_map::Entry::Occupied(_) => freed += weight(&change.names),
                std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(change)),
            }
        }
        freed
    }

    /// Forgets what memory knows of a key, but for its place. Says how much room is free again.
    pub(crate) fn forget(&mut self, key: Key) -> usize {
        self.recent.forget(key);
        self.pending.remove(&key).map_or(0, |change| weight(&change.names))
    }

    /// The file is gone: what memory has is all there is.
    pub(crate) fn lose_file(&mut self) {
        self.index = Index::default();
        let changes = self.pending.values_mut().chain(self.writing.values_mut()).map(|change| &mut change.known);
        changes.chain(self.recent.values_mut()).for_each(|known| known.place = 0);
    }

    #[cfg(test)]
    pub(crate) fn recent_len(&self) -> usize {
        self.recent.len()
    }
}
