//! The only code that remembers.
//!
//! [`Store`] answers for greylisting: [`Store::greylist`] takes one attempt to deliver and says what follows from it, as
//! postgrey does. It knows who is banned: those who ban and those who shut out meet at [`Store::ban`] and
//! [`Store::subscribe`]. It remembers in one file of the state directory, written within 50 ms, in a Valkey that several
//! hosts share, or in memory alone. What it cannot remember it does not hold against anybody: whoever asks gets
//! [`Unavailable`] and lets the mail pass.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod ban;
mod complaint;
mod config;
mod counters;
mod engine;
mod greylist;
pub mod journal;
mod key;
mod recent;
mod standing;
#[cfg(test)]
mod tests;
mod url;
mod valkey;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use admin::{Cursor, ListedClient, ListedTriplet, Page, Stats};
pub use ban::{Ban, BanChange};
pub use config::Config;
pub use counters::Counters;
#[cfg(fuzzing)]
pub use engine::read_any_row;
pub use greylist::{Attempt, Greylisted, Terms};
pub use standing::{Allowed, AllowedName};
pub use url::{Url, without_passwords};
#[cfg(fuzzing)]
pub use valkey::read_anything;

use engine::{Embedded, RECENT_MAX, TOGETHER};
use valkey::Valkey;

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
    /// The disk is too slow for what is to be remembered, or other hosts change the same entry all the time.
    #[error("too much is to be remembered at once")]
    Busy,
    /// The file has reached `store.size_max`, or as many names are allowed or networks banned as may be.
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
    /// The file is large, and not yet read since the start.
    #[error("the store is still being read")]
    Loading,
    /// Valkey does not answer, and this host knows too little.
    #[error("the store does not answer")]
    Away,
}

/// What is remembered. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Store(Place);

/// Where it is remembered.
#[derive(Clone, Debug)]
enum Place {
    Embedded(Arc<Embedded>),
    Valkey(Arc<Valkey>),
}

impl Store {
    /// Opens or creates `portcullis.redb` in a directory, or the Valkey that `config` names. A damaged file is renamed
    /// aloud, and an empty one begun. A Valkey that does not answer is told of by the log, and tried again.
    ///
    /// It reads the journal of a small file, or the beginning of a large one, or it connects: call it where that may take a
    /// second. What a large file has besides is read while others ask: who asks meanwhile waits for half a second, and then
    /// gets [`Unavailable::Loading`]. Bans and the names that are allowed are known at once.
    ///
    /// # Errors
    /// If a setting cannot be, the file cannot be opened, another process has it, or a newer version wrote it.
    pub fn open(config: &Config, directory: &Path) -> Result<Self, Error> {
        if let Some(address) = config.checked()? {
            return Ok(Self(Place::Valkey(Arc::new(Valkey::open(address, config)?))));
        }
        Embedded::open(Some(directory), config.size_max, RECENT_MAX, TOGETHER).map(Self::embedded)
    }

    /// One that remembers in 64 MiB of memory, until it is dropped.
    ///
    /// # Panics
    /// If the system has no thread for it.
    #[must_use]
    pub fn in_memory() -> Self {
        let embedded = Embedded::open(None, MEMORY_MAX, RECENT_MAX, TOGETHER);
        Self::embedded(embedded.expect("a store without a file needs only threads"))
    }

    /// One attempt to deliver: what follows from it. It is remembered.
    ///
    /// # Errors
    /// If it cannot be looked up or remembered; the mail passes.
    pub async fn greylist(&self, attempt: &Attempt<'_>) -> Result<Greylisted, Unavailable> {
        self.attempt(attempt, true).await
    }

    /// What [`Store::greylist`] would say; nothing is remembered.
    ///
    /// # Errors
    /// If it cannot be looked up.
    pub async fn peek(&self, attempt: &Attempt<'_>) -> Result<Greylisted, Unavailable> {
        self.attempt(attempt, false).await
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        match &self.0 {
            Place::Embedded(embedded) => &embedded.engine.counters,
            Place::Valkey(valkey) => &valkey.shared.counters,
        }
    }

    /// Writes what waits to be written and ends the threads. What is asked later is not answered.
    pub async fn close(&self) {
        match &self.0 {
            Place::Embedded(embedded) => embedded.close().await,
            Place::Valkey(valkey) => valkey.close().await,
        }
    }

    /// One of our own users writes to this address: it need not wait when it answers.
    pub fn learn_correspondent(&self, address: &str, now: SystemTime) {
        match &self.0 {
            Place::Embedded(embedded) => embedded.learn(address, now),
            Place::Valkey(valkey) => valkey.shared.standing.correspondents.learn(address, now, &valkey.shared.secret()),
        }
    }

    async fn attempt(&self, attempt: &Attempt<'_>, remember: bool) -> Result<Greylisted, Unavailable> {
        let welcomed = match &self.0 {
            Place::Embedded(embedded) => embedded.engine.standing.welcomes(attempt, &embedded.engine.secret),
            Place::Valkey(valkey) => valkey.shared.standing.welcomes(attempt, &valkey.shared.secret()),
        };
        if let Some(welcomed) = welcomed {
            return Ok(welcomed);
        }
        let (answer, waits) = match &self.0 {
            Place::Embedded(embedded) => {
                let engine = &embedded.engine;
                (embedded.attempt(&engine.secret.asked(attempt), remember).await, &engine.waits)
            }
            Place::Valkey(valkey) => {
                let shared = &valkey.shared;
                let asked = shared.secret().asked(attempt);
                // It has room for a command and its answer: who never asks Valkey does not carry that about.
                (Box::pin(shared.attempt(&asked, remember)).await, &shared.waits)
            }
        };
        Counters::add(&self.counters().asked, 1);
        match answer {
            Ok(Greylisted::Passed { waited, first_time: true, .. }) if remember => waits.add(waited),
            Ok(_) => {}
            Err(_) => Counters::add(&self.counters().unavailable, 1),
        }
        answer
    }

    fn embedded(embedded: Embedded) -> Self {
        Self(Place::Embedded(Arc::new(embedded)))
    }
}
