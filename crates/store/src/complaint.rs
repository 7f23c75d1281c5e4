//! How often a fault is logged, and that it is over.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Complaint(Mutex<Last>);

/// The last one that was logged.
#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    /// Nothing was logged of its end.
    open: bool,
}

impl Complaint {
    /// Whether none was logged a short while ago. The next one then waits its time.
    pub(crate) fn is_due(&self) -> bool {
        let mut last = self.last();
        let is_due = last.at.is_none_or(|at| at.elapsed() >= INTERVAL);
        if is_due {
            *last = Last { at: Some(Instant::now()), open: true };
        }
        is_due
    }

    /// The fault is over: whether one was logged, and its end was not.
    pub(crate) fn ends(&self) -> bool {
        mem::take(&mut self.last().open)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
