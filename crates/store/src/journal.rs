//! The journal: every decision with all that it rests on, in segments that only grow, and counts by the hour.
//!
//! Whoever decides hands over a row when the answer is on its way, and goes on. A thread of the journal writes what has come
//! within 10 ms, and drops what it has no room for, aloud: mail never waits for it. Whoever reads needs no server: the files lie in one directory, each
//! of whole blocks, and what is damaged is passed over.

mod batch;
mod block;
mod codec;
mod config;
mod hours;
mod outline;
mod queue;
mod reader;
mod row;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

pub use config::Config;
pub use hours::Count;
pub use reader::{Reader, read_all, whole_segment};
pub use row::{REASONS, Row, VERDICTS};

use queue::Queue;
use writer::Writer;

/// The journal's directory in the state directory.
const DIRECTORY: &str = "journal";
/// Who has this file locked writes the journal.
const LOCK: &str = "lock";
/// The group may read.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;
/// How long the last rows may take to be written.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot be.
    #[error("journal.{key} {problem}")]
    Setting {
        /// The key in the section `[journal]`.
        key: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// The directory cannot be made, or not be written.
    #[error("{path}: {source}")]
    Open {
        /// What cannot be made.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("{path}: another process writes this journal")]
    InUse {
        /// Its directory.
        path: String,
    },
}

/// What the journal counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rows that were handed over to the system.
    pub written: AtomicU64,
    /// Rows for which there was no room.
    pub dropped: AtomicU64,
    /// Octets that were handed over to the system.
    pub octets: AtomicU64,
    /// Writing that failed.
    pub failures: AtomicU64,
}

/// The journal, open for rows. What was handed over is written when it is closed or dropped.
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    directory: PathBuf,
}

/// The journal's directory in a state directory.
#[must_use]
pub fn directory(state: &Path) -> PathBuf {
    state.join(DIRECTORY)
}

/// What tells this configuration from others, for [`Row::settings`].
#[must_use]
pub fn fingerprint(configuration: &str) -> u32 {
    u32::from_be_bytes(block::checksum(configuration.as_bytes()))
}

impl Journal {
    /// Opens or begins the journal in a state directory that exists.
    ///
    /// # Errors
    /// If a setting cannot be, the directory cannot be made or written, or another process writes there.
    pub fn open(config: &Config, state: &Path) -> Result<Self, Error> {
        config.check()?;
        let directory = directory(state);
        let failed = |source| Error::Open { path: directory.display().to_string(), source };
        let lock = prepare(&directory).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::InUse { path: directory.display().to_string() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let queue = Arc::<Queue>::default();
        let writer = Writer::new(Arc::clone(&queue), config, &directory, lock);
        thread::Builder::new().name("journal".into()).spawn(move || writer.run()).map_err(failed)?;
        Ok(Self { queue, directory })
    }

    /// Takes a row to be written soon, in about a microsecond. Never waits: where too much waits for the disk, the row is
    /// dropped and counted.
    pub fn append(&self, row: &Row) {
        self.queue.push(row);
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.queue.counters
    }

    /// Writes what waits, but takes no longer than a few seconds. What is handed over later is dropped.
    pub fn close(&self) {
        self.queue.close(CLOSE_GRACE);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// The lock of the directory, which is made if it is missing.
fn prepare(directory: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    writable().open(directory.join(LOCK))
}

/// How files of the journal are opened that may not be there yet.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}
