//! The file: opened, set aside when it is damaged, and read into memory at the start.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Display, Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::batch::{JournalRow, after};
use super::loading::play_journal;
use super::record::Damaged;
use super::standing;
use super::table::Table;
use super::waits::Waits;
use crate::greylist::unix;
use crate::key::Secret;
use crate::standing::Standing;

/// The schema that this program writes.
pub(crate) const SCHEMA: u64 = 2;
/// What leads from each older schema to the next one: the first from 1 to 2.
const UPGRADES: [Upgrade; SCHEMA as usize - 1] = [standing::create];

type Upgrade = fn(&WriteTransaction) -> Result<(), Fault>;

/// The schema, the secret and the histogram of waiting, each by its name.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("greylist_meta");
/// By number: what each commit wrote and removed.
pub(crate) const JOURNAL: TableDefinition<u64, &[u8]> = TableDefinition::new("greylist_journal");
/// By number: entries, the oldest first.
pub(crate) const BLOCKS: TableDefinition<u64, &[u8]> = TableDefinition::new("greylist_blocks");

/// What redb itself may keep in memory.
const CACHE_MAX: usize = 16 << 20;
/// A file up to this size is read through and checked when it is opened: that takes less than a second.
const CHECKED_MAX: u64 = 256 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("schema {0}")]
    Newer(u64),
    #[error("in use")]
    InUse,
    #[error("{0}")]
    Failed(io::Error),
}

/// Where the log of entries stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// The number of the next block.
    pub next_block: u64,
    /// The number of the next row of the journal.
    pub next_row: u64,
    /// What blocks and journal take of the file.
    pub octets: u64,
    /// How many entries the blocks have, those included that count no more.
    pub records: u64,
}

/// What a file was opened with.
#[derive(Debug)]
pub(crate) struct Contents {
    pub secret: Secret,
    pub log: Log,
    /// The first row of the journal that is not played yet; nothing if all are.
    pub unplayed: Option<u64>,
    pub waits: Waits,
    pub standing: Standing,
}

/// The open file, or none while it cannot be opened. Readers share it; who replaces it waits for them.
#[derive(Debug)]
pub(crate) struct File {
    /// Nothing for one that lives in memory.
    pub path: Option<PathBuf>,
    database: RwLock<Option<Database>>,
}

impl File {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, database: RwLock::new(None) }
    }

    /// What the log calls it.
    pub(crate) fn name(&self) -> Display<'_> {
        self.path.as_deref().unwrap_or(Path::new("memory")).display()
    }

    /// Calls `with` with the open file. A panic of the library is a damaged file.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| Fault::Failed(io::Error::other("the file is not open")))?;
        caught(|| with(database))
    }

    /// Lets go of the file, so that it can be opened anew.
    pub(crate) fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // What the library does at the end may fail on a damaged file, too.
        let _ = caught(|| {
            drop(database);
            Ok(())
        });
    }

    /// Opens the file again, whose contents memory has, and says which row of its journal is next.
    pub(crate) fn reopen(&self, secret: Secret) -> Result<u64, Fault> {
        let opened = caught(|| {
            let database = open(self.path.as_deref(), secret)?;
            let next = next_row(&database)?;
            Ok((database, next))
        });
        opened.map(|(database, next)| {
            self.put(database);
            next
        })
    }

    /// Opens or creates the file, and begins to fill the index from it, with as many entries as are played `together`. One
    /// that is damaged is set aside, and another begun.
    pub(crate) fn open(&self, table: &Table, together: usize) -> Result<Contents, Fault> {
        let secret = Secret::random();
        let opened = || {
            caught(|| {
                let database = open(self.path.as_deref(), secret)?;
                let contents = load(&database, table, together)?;
                Ok((database, contents))
            })
        };
        let (database, contents) = match opened() {
            Err(Fault::Damaged(why)) => {
                self.set_aside(&why).map_err(Fault::Failed)?;
                table.numbers().for_each(|number| table.shard(number).lose_file());
                opened()?
            }
            opened => opened?,
        };
        self.put(database);
        Ok(contents)
    }

    /// Renames a damaged file.
    pub(crate) fn set_aside(&self, why: &str) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".damaged-{}", unix(SystemTime::now())));
        fs::rename(path, &aside)?;
        let (file, aside) = (path.display(), Path::new(&aside).display());
        tracing::error!(
            "{file} is damaged ({why}): it is now {aside}, and what it remembered is lost; an empty one is begun"
        );
        Ok(())
    }

    /// How many octets it has.
    pub(crate) fn size(&self) -> u64 {
        self.path.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
    }

    fn put(&self, database: Database) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
    }
}

/// What `run` returns; its panic is a damaged file.
fn caught<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(Fault::Damaged("it cannot be read".into())))
}

/// Opens or creates a file with a known schema; a new one gets this `secret`.
fn open(path: Option<&Path>, secret: Secret) -> Result<Database, Fault> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_MAX);
    let Some(path) = path else {
        return upgraded(builder.create_with_backend(InMemoryBackend::new())?, secret);
    };
    // It names senders and recipients: nobody else may read it.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let len = file.metadata()?.len();
    builder.set_check_integrity_on_open((1..=CHECKED_MAX).contains(&len));
    let opened = builder.create_with_backend(FileBackend::new(file)?).map_err(Fault::from);
    let opened = opened.and_then(|database| upgraded(database, secret));
    if len == 0 && opened.is_err() {
        // What a full disk leaves of a new file would be taken for a damaged one.
        fs::remove_file(path)?;
    }
    let database = opened?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(database)
}

/// Brings the schema up to date.
fn upgraded(database: Database, secret: Secret) -> Result<Database, Fault> {
    let write = database.begin_write()?;
    let found = {
        let mut meta = write.open_table(META)?;
        let found = meta.get("schema")?.map(|schema| number(schema.value())).transpose()?;
        if found == Some(SCHEMA) {
            drop(meta);
            write.abort()?;
            return Ok(database);
        }
        if found.is_none() {
            meta.insert("secret", secret.0.as_slice())?;
        }
        meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
        found.unwrap_or(SCHEMA)
    };
    let past = usize::try_from(found).ok().and_then(|found| found.checked_sub(1)).ok_or(Damaged)?;
    let steps = UPGRADES.get(past..).ok_or(Fault::Newer(found))?;
    steps.iter().try_for_each(|step| step(&write))?;
    write.open_table(JOURNAL)?;
    write.open_table(BLOCKS)?;
    standing::create(&write)?;
    write.commit()?;
    Ok(database)
}

/// Reads what memory needs of the file, but for what is still to be played of its journal.
fn load(database: &Database, table: &Table, together: usize) -> Result<Contents, Fault> {
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    let secret = meta.get("secret")?.and_then(|secret| secret.value().try_into().ok()).ok_or(Damaged)?;
    let waits = meta.get("waits")?.map(|waits| Waits::read(waits.value())).transpose()?.unwrap_or_default();
    let mut log = end_of_journal(&read)?;
    let unplayed = play_journal(&read, table, &mut log, 0, together)?;
    Ok(Contents { secret: Secret(secret), log, unplayed, waits, standing: standing::load(&read)? })
}

/// Where the next commit goes.
fn end_of_journal(read: &ReadTransaction) -> Result<Log, Fault> {
    let journal = read.open_table(JOURNAL)?;
    let Some((number, row)) = journal.last()? else {
        return Ok(Log { next_block: 1, ..Log::default() });
    };
    let row = JournalRow::read(row.value())?;
    let next_block = row.numbers().last().map_or(row.first, after);
    Ok(Log { next_block, next_row: number.value() + 1, ..Log::default() })
}

fn next_row(database: &Database) -> Result<u64, Fault> {
    let journal = database.begin_read()?.open_table(JOURNAL)?;
    Ok(journal.last()?.map_or(0, |(number, _)| number.value() + 1))
}

fn number(octets: &[u8]) -> Result<u64, Damaged> {
    octets.try_into().map(u64::from_le_bytes).map_err(|_| Damaged)
}

impl From<Damaged> for Fault {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged.to_string())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Corrupted(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_) => Self::Damaged(error.to_string()),
            other => Self::Failed(io::Error::other(other.to_string())),
        }
    }
}

/// Each of the library's errors is one of its common kind.
macro_rules! faults {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

faults!(StorageError, TableError, TransactionError, CommitError, DatabaseError);
