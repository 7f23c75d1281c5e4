//! A fault of ours: it costs one request, is counted, and the log tells it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts a panic, and logs what followed from it.
pub(crate) fn note(counter: &AtomicU64, what: &str, panic: &(dyn Any + Send)) {
    counter.fetch_add(1, Relaxed);
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!("{what}: {}", message.unwrap_or("?"));
}
