//! What the DNS side of the house counts.

use std::sync::atomic::{AtomicU64, Ordering};

use facts::{DnsAnswer, DnsFailure};

/// Counted since the start. [`Counters::queries_in_flight`] goes up and down, all others only up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Questions answered from the cache.
    pub cache_hits: AtomicU64,
    /// Questions that the cache could not answer; those above `queries` joined one already on its way.
    pub cache_misses: AtomicU64,
    /// Questions put to the servers, each once however many servers it took.
    pub queries: AtomicU64,
    /// Questions on their way now.
    pub queries_in_flight: AtomicU64,
    /// How often a further server had to be asked.
    pub failovers: AtomicU64,
    /// How often an answer did not fit into a datagram and was fetched over TCP.
    pub tcp_fallbacks: AtomicU64,
    failures: [AtomicU64; FAILURES.len()],
}

const FAILURES: [DnsFailure; 9] = [
    DnsFailure::NxDomain,
    DnsFailure::NoData,
    DnsFailure::AliasLoop,
    DnsFailure::ServFail,
    DnsFailure::Refused,
    DnsFailure::Timeout,
    DnsFailure::Unreachable,
    DnsFailure::Malformed,
    DnsFailure::NotRecorded,
];

impl Counters {
    /// How many questions put to the servers came to each kind of failure.
    pub fn failures(&self) -> impl Iterator<Item = (DnsFailure, u64)> {
        FAILURES.into_iter().zip(self.failures.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_failure_of(&self, answer: &DnsAnswer) {
        let kind = answer.failure().and_then(|failure| FAILURES.iter().position(|kind| *kind == failure));
        if let Some(count) = kind.and_then(|kind| self.failures.get(kind)) {
            Self::add(count);
        }
    }
}
