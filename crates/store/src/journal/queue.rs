//! Rows on their way to the journal's thread: as many as there is room for, and a count of those that there was none for.
//!
//! Each thread that decides makes octets of its rows in a place of its own, while it has them at hand: to hand the values
//! over, and have another thread read and free them, takes several times as long.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicBool};
use std::time::Duration;

use super::batch::Batch;
use super::{Counters, Row};

/// Octets of rows that may wait to be written; further ones are dropped. Each place may hold a block more.
const WAITING_MAX: usize = 32 << 20;
/// More threads than these share places.
const PLACES: usize = 16;

/// How many batches are kept to be filled again.
const SPARES: usize = 8;

/// The rows that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    places: [Mutex<Batch>; PLACES],
    waiting: Mutex<Waiting>,
    /// The journal's thread knows that there is something to write.
    awake: AtomicBool,
    /// There is something to write, or the end has come.
    more: Condvar,
    /// The thread has ended.
    ended: Condvar,
    pub counters: Counters,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Those that are full.
    batches: Vec<Batch>,
    octets: usize,
    /// Those that were written, to be filled again: memory that goes back and forth between threads costs more than what
    /// is done with it.
    spare: Vec<Batch>,
    awake: bool,
    closing: bool,
    ended: bool,
}

/// What comes after waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More may come.
    GoOn,
    /// The journal is closed: this was the last.
    End,
}

impl Waiting {
    fn then(&self) -> Then {
        if self.closing { Then::End } else { Then::GoOn }
    }
}

impl Queue {
    pub(crate) fn push(&self, row: &Row) {
        let mut batch = locked(&self.places[place()]);
        if !batch.add(row) {
            self.counters.dropped.fetch_add(1, Relaxed);
        }
        if batch.is_full() {
            self.hand_over(&mut batch);
        }
        drop(batch);
        // The thread sleeps only where there is nothing to write.
        if !self.awake.load(Acquire) && !self.awake.swap(true, AcqRel) {
            locked(&self.waiting).awake = true;
            self.more.notify_one();
        }
    }

    /// Hands over a batch that is full; it is dropped where too many wait for the disk.
    fn hand_over(&self, batch: &mut Batch) {
        let mut waiting = locked(&self.waiting);
        let octets = batch.out.len();
        if waiting.closing || waiting.octets + octets > WAITING_MAX {
            self.counters.dropped.fetch_add(batch.rows, Relaxed);
            return batch.clear();
        }
        waiting.octets += octets;
        let empty = waiting.spare.pop().unwrap_or_default();
        waiting.batches.push(std::mem::replace(batch, empty));
    }

    /// All that waits: once there is something, and others have had `linger` to join it. Comes back without anything after
    /// `at_most`.
    pub(crate) fn next(&self, linger: Duration, at_most: Duration) -> (Vec<Batch>, Then) {
        let idle = |waiting: &mut Waiting| !waiting.awake && !waiting.closing;
        let mut waiting = self.wait(locked(&self.waiting), at_most, idle);
        if waiting.awake {
            waiting = self.wait(waiting, linger, |waiting| !waiting.closing);
        }
        waiting.awake = false;
        waiting.octets = 0;
        let (mut batches, then) = (std::mem::take(&mut waiting.batches), waiting.then());
        let mut spare = std::mem::take(&mut waiting.spare);
        drop(waiting);
        // Whoever adds a row from here on wakes this thread again.
        self.awake.store(false, std::sync::atomic::Ordering::Release);
        for mut batch in self.places.iter().map(locked).filter(|batch| batch.rows > 0) {
            batches.push(std::mem::replace(&mut *batch, spare.pop().unwrap_or_default()));
        }
        self.give_back(spare);
        (batches, then)
    }

    /// Takes batches that were written, to be filled again.
    pub(crate) fn give_back(&self, mut batches: Vec<Batch>) {
        batches.iter_mut().for_each(Batch::clear);
        let mut waiting = locked(&self.waiting);
        waiting.spare.append(&mut batches);
        waiting.spare.truncate(SPARES);
    }

    /// Waits for so long, unless the end comes.
    pub(crate) fn pause(&self, at_most: Duration) -> Then {
        self.wait(locked(&self.waiting), at_most, |waiting| !waiting.closing).then()
    }

    fn wait<'a>(
        &self,
        waiting: MutexGuard<'a, Waiting>,
        at_most: Duration,
        is_early: impl FnMut(&mut Waiting) -> bool,
    ) -> MutexGuard<'a, Waiting> {
        let waited = self.more.wait_timeout_while(waiting, at_most, is_early);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until the thread has written what there is; later rows come to nothing.
    pub(crate) fn close(&self, at_most: Duration) {
        let mut waiting = locked(&self.waiting);
        waiting.closing = true;
        self.more.notify_one();
        let waited = self.ended.wait_timeout_while(waiting, at_most, |waiting| !waiting.ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The thread ends.
    pub(crate) fn end(&self) {
        locked(&self.waiting).ended = true;
        self.ended.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can leave half a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of this thread.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static PLACE: usize = NEXT.fetch_add(1, Relaxed) % PLACES);
    PLACE.with(|place| *place)
}
