//! The only code that remembers.
//!
//! [`Store`] answers for greylisting: [`Store::greylist`] takes one attempt to deliver and says what follows from it, as
//! postgrey does. It remembers in one file of the state directory, written within 50 ms, or in memory alone. What it
//! cannot remember it does not hold against anybody: whoever asks gets [`Unavailable`] and lets the mail pass.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod config;
mod counters;
mod engine;
mod greylist;
pub mod journal;
mod key;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use admin::{Cursor, ListedClient, ListedTriplet, Page, Stats};
pub use config::Config;
pub use counters::Counters;
pub use greylist::{Attempt, Greylisted, Terms};

use engine::{Asked, Embedded, RECENT_MAX};
use key::Kind;

/// What a store without a file may take of memory, as of a file.
const MEMORY_MAX: u64 = 64 << 20;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot be.
    #[error("store.{key} {problem}")]
    Setting {
        /// The key in the section `[store]`.
        key: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// The file cannot be opened or created.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path}: another process has it open")]
    InUse {
        /// The file.
        path: String,
    },
    /// A newer program wrote it.
    #[error(
        "{path}: has schema {found} of a newer version, this one knows schema {known}: use that version, or move the file away"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema.
        found: u64,
        /// The newest schema that this program knows.
        known: u64,
    },
    /// No thread can be started.
    #[error("no thread for the store: {source}")]
    Thread {
        /// The system's word.
        source: io::Error,
    },
}

/// Why there is no answer: the mail passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The disk is too slow for what is to be remembered.
    #[error("too many changes of the store wait for the disk")]
    Busy,
    /// The file has reached `store.size_max`.
    #[error("the store is full")]
    Full,
    /// The file cannot be read.
    #[error("the store cannot be read")]
    Unreadable,
    /// The file cannot be written.
    #[error("the store cannot be written")]
    Unwritable,
    /// It was closed.
    #[error("the store is closed")]
    Closed,
}

/// What is remembered. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Embedded>);

impl Store {
    /// Opens or creates `portcullis.redb` in a directory. A damaged file is renamed aloud, and an empty one begun.
    ///
    /// It reads the file's journal, and after a crash the whole file: call it where that may take a second.
    ///
    /// # Errors
    /// If a setting cannot be, the file cannot be opened, another process has it, or a newer version wrote it.
    pub fn open(config: &Config, directory: &Path) -> Result<Self, Error> {
        config.check()?;
        Embedded::open(Some(directory), config.size_max, RECENT_MAX).map(|embedded| Self(Arc::new(embedded)))
    }

    /// One that remembers in 64 MiB of memory, until it is dropped.
    ///
    /// # Panics
    /// If the system has no thread for it.
    #[must_use]
    pub fn in_memory() -> Self {
        let embedded = Embedded::open(None, MEMORY_MAX, RECENT_MAX);
        Self(Arc::new(embedded.expect("a store without a file needs only threads")))
    }

    /// One attempt to deliver: what follows from it. It is remembered.
    ///
    /// # Errors
    /// If it cannot be looked up or remembered; the mail passes.
    pub async fn greylist(&self, attempt: Attempt<'_>) -> Result<Greylisted, Unavailable> {
        self.0.attempt(&self.asked(&attempt), true).await
    }

    /// What [`Store::greylist`] would say; nothing is remembered.
    ///
    /// # Errors
    /// If it cannot be looked up.
    pub async fn peek(&self, attempt: Attempt<'_>) -> Result<Greylisted, Unavailable> {
        self.0.attempt(&self.asked(&attempt), false).await
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.engine.counters
    }

    /// Writes what waits to be written and ends the threads. What is asked later is not answered.
    pub async fn close(&self) {
        self.0.close().await;
    }

    fn asked(&self, attempt: &Attempt<'_>) -> Asked {
        let Attempt { client, network, sender, recipient, now, terms } = *attempt;
        let secret = &self.0.engine.secret;
        Asked {
            now: greylist::unix(now),
            terms: *terms,
            client: secret.named(Kind::Client, [client, "", ""], !terms.privacy),
            triplet: secret.named(Kind::Triplet, [network, sender, recipient], !terms.privacy),
        }
    }
}
