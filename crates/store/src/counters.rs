//! What the store counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Attempts to deliver that were answered or came to nothing, looks without remembering included.
    pub asked: AtomicU64,
    /// Those that needed to read the file.
    pub from_file: AtomicU64,
    /// Those that got no answer: too many changes wait, the file is full, cannot be read or is still being read, or Valkey
    /// is away and did not know them.
    pub unavailable: AtomicU64,
    /// Transactions that are on the disk.
    pub commits: AtomicU64,
    /// Entries written with them.
    pub written: AtomicU64,
    /// Entries removed because their time was over.
    pub expired: AtomicU64,
    /// Triplets forgotten before their time, because the file was full, or not remembered while Valkey was away, because
    /// too many were.
    pub dropped: AtomicU64,
    /// Writing or reading the file that failed, and entries of Valkey that cannot be read.
    pub failures: AtomicU64,
    /// How often Valkey went away.
    pub went_away: AtomicU64,
    /// How often it came back.
    pub came_back: AtomicU64,
    /// Attempts judged by what this host knew, as Valkey was away.
    pub from_copy: AtomicU64,
    /// Entries of which Valkey was told when it came back.
    pub written_back: AtomicU64,
}

impl Counters {
    /// Those answered from memory alone.
    pub fn from_memory(&self) -> u64 {
        let [asked, from_file] = [&self.asked, &self.from_file].map(|count| count.load(Ordering::Relaxed));
        asked.saturating_sub(from_file)
    }

    pub(crate) fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}
