//! All that memory holds, in shards of their own locks: an attempt is answered here, and only a miss asks a reader.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Move;
use super::record::Row;
use super::shard::{Known, Looked, Read, Shard};
use crate::greylist::{Greylisted, Step, step};
use crate::key::{Asked, Key, Named};

const SHARDS: usize = 256;

/// What must be read before the attempt can be answered.
#[derive(Debug)]
pub(crate) struct Missing(pub Vec<(Key, Vec<u32>)>);

/// How an attempt is answered from what is known.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Remember it.
    Remember,
    /// Remember it only if its triplet is known: there is no room for more.
    RememberKnown,
    /// Only look.
    Look,
}

#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<Mutex<Shard>>,
    /// How many entries each half of what a shard remembers of its recent past has.
    recent_half: usize,
    /// What the changes take that are not yet in the file.
    waiting: AtomicUsize,
}

/// The shards of a client and a triplet, locked in the order of their numbers.
struct Pair<'a> {
    low: MutexGuard<'a, Shard>,
    high: Option<MutexGuard<'a, Shard>>,
    low_number: usize,
}

impl Table {
    /// One that keeps `recent_max` entries in memory besides those that are not yet in the file.
    pub(crate) fn new(recent_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            recent_half: recent_max / SHARDS / 2,
            waiting: AtomicUsize::new(0),
        }
    }

    /// What the changes take that are not yet in the file, in octets of memory.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn numbers(&self) -> Range<usize> {
        0..self.shards.len()
    }

    /// The shard of this number, locked.
    pub(crate) fn shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        // A panic under the lock leaves at worst an entry too few or too many in memory.
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard of this key, locked.
    pub(crate) fn shard_of(&self, key: Key) -> MutexGuard<'_, Shard> {
        self.shard(number_of(key))
    }

    /// Answers an attempt from memory and from what was read for it; nothing if it finds no room.
    pub(crate) fn attempt(&self, asked: &Asked, reads: &[Read], mode: &Mode) -> Result<Option<Greylisted>, Missing> {
        let mut pair = self.pair(asked.client.key, asked.triplet.key);
        let (client, triplet) = look(&mut pair, asked, reads)?;
        let rows = (client.and_then(|known| known.row.client()), triplet.and_then(|known| known.row.triplet()));
        let Step { answer, client: new_client, triplet: new_triplet } = step(asked.now, &asked.terms, rows.0, rows.1);
        match mode {
            Mode::Look => return Ok(Some(answer)),
            Mode::RememberKnown if new_triplet.is_some() && triplet.is_none() => return Ok(None),
            Mode::Remember | Mode::RememberKnown => {}
        }
        self.apply(&mut pair, &asked.client, client, new_client.map(Row::Client));
        self.apply(&mut pair, &asked.triplet, triplet, new_triplet.map(Row::Triplet));
        pair.low.latest = Some((asked.now, asked.terms));
        Ok(Some(answer))
    }

    /// Remembers what changed, and keeps near what did not.
    fn apply(&self, pair: &mut Pair<'_>, named: &Named, before: Option<Known>, after: Option<Row>) {
        let shard = pair.shard(named.key);
        match (before, after) {
            (before, Some(row)) => {
                let more = shard.change(named, row, before.map_or(0, |known| known.place));
                self.waiting.fetch_add(more, Ordering::Relaxed);
            }
            (Some(known), None) => shard.keep(named.key, known, self.recent_half),
            (None, None) => {}
        }
    }

    /// These entries of one shard are now elsewhere in the file.
    pub(crate) fn moved(&self, moves: &[Move]) {
        let Some(first) = moves.first() else { return };
        let mut shard = self.shard_of(first.key);
        self.free(moves.iter().map(|entry| shard.moved(*entry, self.recent_half)).sum());
    }

    /// There is room again for changes.
    pub(crate) fn free(&self, less: usize) {
        self.waiting.fetch_sub(less, Ordering::Relaxed);
    }

    /// How many entries the file does not have as they are now.
    pub(crate) fn unwritten(&self) -> usize {
        self.numbers().map(|number| self.shard(number).unwritten()).sum()
    }

    /// How many entries the file has.
    pub(crate) fn in_file(&self) -> usize {
        self.numbers().map(|number| self.shard(number).index.len()).sum()
    }

    fn pair(&self, one: Key, other: Key) -> Pair<'_> {
        let (one, other) = (number_of(one), number_of(other));
        let (low_number, high_number) = (one.min(other), one.max(other));
        let low = self.shard(low_number);
        Pair { low, high: (low_number != high_number).then(|| self.shard(high_number)), low_number }
    }
}

/// What is known of both, or what must be read. Neither is read if the answer does not depend on it.
fn look(pair: &mut Pair<'_>, asked: &Asked, reads: &[Read]) -> Result<(Option<Known>, Option<Known>), Missing> {
    let Asked { now, terms, client, triplet } = asked;
    let client = match terms.auto_whitelist_clients {
        0 => Looked::Known(None),
        _ => pair.shard(client.key).look(client.key, reads),
    };
    if let Looked::Known(Some(known)) = client
        && known.row.client().is_some_and(|client| client.is_whitelisted(*now, terms))
    {
        return Ok((Some(known), None));
    }
    match (client, pair.shard(triplet.key).look(triplet.key, reads)) {
        (Looked::Known(client), Looked::Known(triplet)) => Ok((client, triplet)),
        (client, triplet) => {
            let keys = [asked.client.key, asked.triplet.key];
            let missing = keys.into_iter().zip([client, triplet]).filter_map(|(key, looked)| match looked {
                Looked::InFile(places) => Some((key, places)),
                Looked::Known(_) => None,
            });
            Err(Missing(missing.collect()))
        }
    }
}

fn number_of(key: Key) -> usize {
    key.print().shard().into()
}

impl Pair<'_> {
    fn shard(&mut self, key: Key) -> &mut Shard {
        match &mut self.high {
            Some(high) if number_of(key) != self.low_number => high,
            _ => &mut self.low,
        }
    }
}
