//! The embedded engine: everything that is used in memory, everything that counts in one file.
//!
//! The file is a log. Each commit appends its entries in blocks, and says in a row of its journal which keys they have and
//! which older entries they replace. Memory knows by an index which block has which key, so that what is new is known to
//! be new without reading, and what is known costs one read of one block. Writing costs the same however much the file has.

mod admin;
mod batch;
mod file;
mod index;
mod loading;
mod reader;
mod record;
mod shard;
mod standing;
mod sweep;
mod table;
mod waits;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::{SetOnce, mpsc, oneshot, watch};
use tokio::time::timeout;

#[cfg(fuzzing)]
pub use self::batch::read_any_row;
use self::file::{Contents, Fault, File};
#[cfg(test)]
pub(crate) use self::file::{JOURNAL, META};
use self::loading::Loading;
use self::reader::Job;
pub(crate) use self::reader::{Entry, Scanned};
pub(crate) use self::record::Row;
use self::shard::Read;
use self::sweep::Limits;
pub(crate) use self::table::Table;
use self::table::{Missing, Mode};
pub(crate) use self::waits::Waits;
use self::writer::Command;
pub(crate) use self::writer::{Order, Writer};
use crate::ban::BanChange;
use crate::complaint::Complaint;
use crate::counters::Counters;
use crate::greylist::{Greylisted, Seconds};
use crate::key::{Asked, Key, Secret};
use crate::standing::{AllowedName, Standing};
use crate::{Error, Unavailable};

/// The name of the file in its directory.
const FILE: &str = "portcullis.redb";
/// How many entries memory keeps besides those that wait to be written.
pub(crate) const RECENT_MAX: usize = 262_144;
/// How many octets of memory the changes may take that wait to be written; over it nothing new is remembered.
const WAITING_MAX: usize = 16 << 20;
/// How many entries of the file's journal are played together when it is opened: a file with fewer is in memory before
/// anybody asks. The writer plays the others, so many at a time, before it looks whether there is something to write.
pub(crate) const TOGETHER: usize = 131_072;
/// How long is waited for a file that is being read: with this the first answer comes within a second of the start.
const LOADING_MAX: Duration = Duration::from_millis(500);
/// Threads that read, so that one slow read does not hold up all.
const READERS: usize = 2;
/// How many jobs wait for a reader; who asks for more waits as well.
const JOBS_MAX: usize = 1_024;
/// How many commands wait for the writer.
const COMMANDS_MAX: usize = 64;
/// How often what was read may be overtaken by a change of the same block.
const TRIES: usize = 8;

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub table: Table,
    file: File,
    pub secret: Secret,
    limits: Limits,
    pub counters: Counters,
    pub waits: Waits,
    pub standing: Standing,
    /// The number of the block that is written next.
    head: AtomicU64,
    /// No room for anything new.
    full: AtomicBool,
    /// The writer has been told that there is something to write.
    awake: AtomicBool,
    /// Memory knows what the file has.
    loaded: SetOnce<()>,
    closed: AtomicBool,
    /// The writer has written all that there was.
    ended: watch::Sender<bool>,
    complaint: Complaint,
}

/// The engine, and the way to its threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    pub engine: Arc<Engine>,
    writer: SyncSender<Command>,
    readers: Vec<mpsc::Sender<Job>>,
}

impl Engine {
    /// The number of the block of this place: the latest with this lower half.
    fn block_number(&self, place: u32) -> u64 {
        let head = self.head.load(Ordering::SeqCst);
        head - u64::from((head as u32).wrapping_sub(place))
    }

    /// Counts a fault, and logs it if none was logged a short while ago.
    fn complain(&self, what: &str, fault: &Fault) {
        Counters::add(&self.counters.failures, 1);
        if self.complaint.is_due() {
            let file = self.file.name();
            tracing::error!(
                "{file}: {what}: {fault}: mail flows on, what is new stays in memory as long as there is room"
            );
        }
    }

    /// What waited is written: says so where it was said that it could not be.
    fn rejoice(&self) {
        if self.complaint.ends() {
            tracing::info!("{}: written again, with all that waited", self.file.name());
        }
    }

    /// How many octets the file has.
    pub(crate) fn file_size(&self) -> u64 {
        self.file.size()
    }
}

impl Embedded {
    /// Opens the file in `directory`, or none, and starts the threads.
    pub(crate) fn open(
        directory: Option<&Path>,
        size_max: u64,
        recent_max: usize,
        together: usize,
    ) -> Result<Self, Error> {
        let writer = Self::writer(directory, size_max, recent_max, together)?;
        Self::start(writer).map_err(|source| Error::Thread { source })
    }

    /// The one who will write the file, and has opened it.
    pub(crate) fn writer(
        directory: Option<&Path>,
        size_max: u64,
        recent_max: usize,
        together: usize,
    ) -> Result<Writer, Error> {
        let path = directory.map(|directory| directory.join(FILE));
        let file = File::new(path.clone());
        let table = Table::new(recent_max);
        let path = path.unwrap_or_default().display().to_string();
        let contents = file.open(&table, together).map_err(|fault| match fault {
            Fault::Newer(found) => Error::Newer { path: path.clone(), found, known: file::SCHEMA },
            Fault::InUse => Error::InUse { path: path.clone() },
            Fault::Failed(source) => Error::Open { path: path.clone(), source },
            Fault::Damaged(_) => Error::Open { path: path.clone(), source: std::io::Error::other(fault.to_string()) },
        })?;
        let Contents { secret, log, unplayed, waits, standing } = contents;
        let engine = Engine {
            table,
            file,
            secret,
            limits: Limits::of_file(size_max),
            counters: Counters::default(),
            waits,
            standing,
            head: AtomicU64::new(log.next_block),
            full: AtomicBool::new(false),
            awake: AtomicBool::new(false),
            loaded: SetOnce::new_with((unplayed.is_none()).then_some(())),
            closed: AtomicBool::new(false),
            ended: watch::Sender::new(false),
            complaint: Complaint::default(),
        };
        Ok(Writer::new(Arc::new(engine), log, unplayed.map(|next| Loading::new(next, together))))
    }

    /// Starts the threads.
    pub(crate) fn start(own: Writer) -> std::io::Result<Self> {
        let (writer, commands) = sync_channel(COMMANDS_MAX);
        let engine = Arc::clone(&own.engine);
        thread::Builder::new().name("store-write".into()).spawn(move || own.run(&commands))?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let (reader, jobs) = mpsc::channel(JOBS_MAX);
            let engine = Arc::clone(&engine);
            thread::Builder::new().name("store-read".into()).spawn(move || reader::run(&engine, jobs))?;
            readers.push(reader);
        }
        Ok(Self { engine, writer, readers })
    }

    /// Answers an attempt, and remembers it if wanted.
    pub(crate) async fn attempt(&self, asked: &Asked, remember: bool) -> Result<Greylisted, Unavailable> {
        let answer = self.answer(asked, remember).await;
        if remember && self.engine.table.waiting() > 0 {
            self.wake();
        }
        answer
    }

    async fn answer(&self, asked: &Asked, remember: bool) -> Result<Greylisted, Unavailable> {
        let engine = &self.engine;
        self.loaded().await?;
        let mut reads = Vec::new();
        for _ in 0..TRIES {
            if engine.closed.load(Ordering::Relaxed) {
                return Err(Unavailable::Closed);
            }
            if remember && engine.table.waiting() > WAITING_MAX {
                return Err(Unavailable::Busy);
            }
            let mode = match (remember, engine.full.load(Ordering::Relaxed)) {
                (false, _) => Mode::Look,
                (true, true) => Mode::RememberKnown,
                (true, false) => Mode::Remember,
            };
            match engine.table.attempt(asked, &reads, &mode) {
                Ok(answer) => return answer.ok_or(Unavailable::Full),
                Err(Missing(wanted)) => {
                    if reads.is_empty() {
                        Counters::add(&engine.counters.from_file, 1);
                    }
                    // Seldom, and nobody else carries about what it needs.
                    reads.extend(Box::pin(self.find(wanted)).await?);
                }
            }
        }
        Err(Unavailable::Unreadable)
    }

    async fn find(&self, wanted: Vec<(Key, Vec<u32>)>) -> Result<Vec<Read>, Unavailable> {
        let number = wanted.first().map_or(0, |(key, _)| key.0 as usize);
        let (reply, read) = oneshot::channel();
        self.ask(number, Job::Find { wanted, reply }).await?;
        read.await.map_err(|_| Unavailable::Unreadable)
    }

    /// Waits until memory knows what the file has, but not for long.
    async fn loaded(&self) -> Result<(), Unavailable> {
        let loaded = &self.engine.loaded;
        if loaded.initialized() {
            return Ok(());
        }
        // Few wait for it, and nobody else carries the timer about.
        Box::pin(timeout(LOADING_MAX, loaded.wait())).await.map(drop).map_err(|_| Unavailable::Loading)
    }

    /// The entries of some blocks from this one on.
    pub(crate) async fn scan(&self, from: u64) -> Result<Scanned, Unavailable> {
        self.loaded().await?;
        let (reply, read) = oneshot::channel();
        self.ask(0, Job::Scan { from, reply }).await?;
        read.await.map_err(|_| Unavailable::Unreadable)
    }

    async fn ask(&self, number: usize, job: Job) -> Result<(), Unavailable> {
        let reader = self.readers.get(number % READERS).ok_or(Unavailable::Closed)?;
        reader.send(job).await.map_err(|_| Unavailable::Closed)
    }

    /// One of our own users writes to this address.
    pub(crate) fn learn(&self, address: &str, now: SystemTime) {
        self.engine.standing.correspondents.learn(address, now, &self.engine.secret);
        if self.engine.standing.correspondents.has_unwritten() {
            self.wake();
        }
    }

    /// Allows a name since then, or no more. Says whether that changes anything.
    pub(crate) async fn set_allowed(&self, name: &AllowedName, since: Option<Seconds>) -> Result<bool, Unavailable> {
        let order = Order { allow: Some((name.clone(), since)), ..Order::default() };
        self.commit(order).await.map(|changed| changed > 0)
    }

    /// Bans a network, or no more. Says whether that changes anything.
    pub(crate) async fn change_ban(&self, change: BanChange) -> Result<bool, Unavailable> {
        self.commit(Order { ban: Some(change), ..Order::default() }).await.map(|changed| changed > 0)
    }

    /// Writes all that waits, and what is ordered; says how many entries that concerned.
    pub(crate) async fn commit(&self, order: Order) -> Result<u64, Unavailable> {
        let (reply, done) = oneshot::channel();
        self.writer.try_send(Command::Commit { order, reply }).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::Busy,
            TrySendError::Disconnected(_) => Unavailable::Closed,
        })?;
        done.await.unwrap_or(Err(Unavailable::Closed))
    }

    /// Writes what waits, and ends the threads.
    pub(crate) async fn close(&self) {
        self.engine.closed.store(true, Ordering::SeqCst);
        // A full channel has woken the writer already.
        let _ = self.writer.try_send(Command::Wake);
        for reader in &self.readers {
            let _ = reader.send(Job::End).await;
        }
        let _ = self.engine.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Tells the writer that there is something to write, unless it knows.
    fn wake(&self) {
        if !self.engine.awake.load(Ordering::SeqCst) && !self.engine.awake.swap(true, Ordering::SeqCst) {
            let _ = self.writer.try_send(Command::Wake);
        }
    }
}
