//! The threads that serve connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use rustix::process::getpriority_process;
use thread_priority::{
    NormalThreadSchedulePolicy::{Batch, Other},
    ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads with a runtime each, best one for each processor. A connection stays with the thread that got it: nobody
/// steals work there, so that nothing waits for a lock or for being woken by another processor. Dropping this ends the
/// threads, and with them every connection that is left.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    _end: DropGuard,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads, one at least.
    ///
    /// # Errors
    /// When the system gives no thread or no file descriptor for it.
    pub fn start(count: usize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let workers = (0..count.max(1)).map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker::new(runtime.handle().clone());
            let end = end.clone();
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            thread.spawn(move || {
                take_turns();
                runtime.block_on(end.cancelled());
            })?;
            Ok(worker)
        });
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, _end: end.drop_guard() })
    }

    /// No threads of their own: connections are served by the runtime in which this is called, for tests that stop its
    /// clock.
    #[must_use]
    pub fn here() -> Self {
        Self { workers: vec![Worker::new(Handle::current())], _end: CancellationToken::new().drop_guard() }
    }

    /// The one with the fewest connections.
    pub(crate) fn least_busy(&self) -> &Worker {
        let least = self.workers.iter().min_by_key(|worker| worker.connections.load(Relaxed));
        least.expect("there is one worker at least")
    }
}

/// Lets whoever runs on this thread's processor go on when something comes in (SCHED_BATCH, sched(7)). Who asks is often on
/// this machine and about to ask more: to answer several at once takes less than to be called for each. Where the
/// administrator has chosen otherwise, or the system refuses, all stays as it is.
fn take_turns() {
    let is_usual = thread_schedule_policy().is_ok_and(|policy| policy == ThreadSchedulePolicy::Normal(Other));
    // The library sets the niceness along with the policy: to 0, the usual, at this value.
    if let (true, Ok(0), Ok(value)) = (is_usual, getpriority_process(None), ThreadPriorityValue::try_from(47_u8)) {
        let policy = ThreadSchedulePolicy::Normal(Batch);
        if let Err(error) =
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
        {
            tracing::debug!("threads are scheduled as usual: {error}");
        }
    }
}

impl Worker {
    fn new(runtime: Handle) -> Self {
        Self { runtime, connections: Arc::default() }
    }

    /// A connection of this worker's, until it is dropped.
    pub(crate) fn place(&self) -> Place {
        self.connections.fetch_add(1, Relaxed);
        Place(Arc::clone(&self.connections))
    }
}

/// Counts as a connection.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the thread that asks for it, and with the same share of the processor.
    #[test]
    fn a_thread_takes_turns() {
        let told = || (thread_schedule_policy().unwrap(), getpriority_process(None).unwrap());
        let before = told();
        let (changed, niceness) = thread::spawn(move || (take_turns(), told()).1).join().unwrap();
        if before == (ThreadSchedulePolicy::Normal(Other), 0) {
            assert_eq!((changed, niceness), (ThreadSchedulePolicy::Normal(Batch), 0));
        }
        assert_eq!(told(), before);
    }

    #[test]
    fn connections_go_to_the_least_busy() {
        let workers = Workers::start(3).unwrap();
        let busy = || workers.workers.iter().map(|worker| worker.connections.load(Relaxed)).collect::<Vec<_>>();
        let mut places: Vec<_> = (0..6).map(|_| workers.least_busy().place()).collect();
        assert_eq!(busy(), [2, 2, 2]);
        places.remove(1);
        assert_eq!(busy(), [2, 1, 2]);
        places.push(workers.least_busy().place());
        assert_eq!(busy(), [2, 2, 2]);
    }
}
