//! Rows on their way to the journal's thread: as many as there is room for, and a count of those that there was none for.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Counters, Row};

/// Octets of rows that may wait to be written; further ones are dropped.
const WAITING_MAX: usize = 32 << 20;
/// What one row may take; a longer one loses its findings, as a hostile DNS answer can be long.
pub(crate) const ROW_MAX: usize = 256 << 10;

/// The rows that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write, or the end has come.
    more: Condvar,
    /// The thread has ended.
    ended: Condvar,
    pub counters: Counters,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: Vec<Arc<Row>>,
    octets: usize,
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
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can leave half a change behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, row: Arc<Row>) {
        let (row, weight) = match row.weight() {
            weight if weight <= ROW_MAX => (row, weight),
            _ => {
                let row = row.without_findings();
                let weight = row.weight();
                (Arc::new(row), weight)
            }
        };
        let mut waiting = self.lock();
        if waiting.closing || weight > ROW_MAX || waiting.octets + weight > WAITING_MAX {
            drop(waiting);
            self.counters.dropped.fetch_add(1, Relaxed);
            return;
        }
        // The thread sleeps only where there is nothing to write.
        let is_first = waiting.rows.is_empty();
        waiting.octets += weight;
        waiting.rows.push(row);
        drop(waiting);
        if is_first {
            self.more.notify_one();
        }
    }

    /// Puts what waits into the empty `batch`: once there is something, and others have had `linger` to join it. Comes
    /// back without anything after `at_most`.
    pub(crate) fn next_batch(&self, batch: &mut Vec<Arc<Row>>, linger: Duration, at_most: Duration) -> Then {
        let idle = |waiting: &mut Waiting| waiting.rows.is_empty() && !waiting.closing;
        let few = |waiting: &mut Waiting| waiting.octets < WAITING_MAX / 4 && !waiting.closing;
        let waited = self.more.wait_timeout_while(self.lock(), at_most, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !waiting.rows.is_empty() {
            let lingered = self.more.wait_timeout_while(waiting, linger, few);
            (waiting, _) = lingered.unwrap_or_else(PoisonError::into_inner);
        }
        waiting.octets = 0;
        std::mem::swap(&mut waiting.rows, batch);
        waiting.then()
    }

    /// Waits for so long, unless the end comes.
    pub(crate) fn pause(&self, at_most: Duration) -> Then {
        let waited = self.more.wait_timeout_while(self.lock(), at_most, |waiting| !waiting.closing);
        let (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.then()
    }

    /// Takes no more rows, and waits until the thread has written what there is.
    pub(crate) fn close(&self, at_most: Duration) {
        let mut waiting = self.lock();
        waiting.closing = true;
        self.more.notify_one();
        let waited = self.ended.wait_timeout_while(waiting, at_most, |waiting| !waiting.ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The thread ends.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.ended.notify_all();
    }
}
