//! The thread that writes: all changes of 50 ms in one transaction, an administrator's at once.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use redb::Database;
use tokio::sync::oneshot;

use super::Engine;
use super::batch::Batch;
use super::file::{BLOCKS, Fault, JOURNAL, Log, META};
use super::loading::Loading;
use super::record::Record;
use super::standing;
use super::sweep::{Tables, sweep};
use crate::Unavailable;
use crate::ban::BanChange;
use crate::counters::Counters;
use crate::greylist::{Seconds, Terms};
use crate::key::Key;
use crate::standing::AllowedName;

/// How long a change waits for others: what a crash may cost.
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);
/// How long after a failure it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What the writer is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// There is something to write, or the end has come.
    Wake,
    /// Writes all that waits, and what is ordered, at once. The answer comes when it is on the disk: how many entries the
    /// order concerned.
    Commit { order: Order, reply: oneshot::Sender<Result<u64, Unavailable>> },
}

/// What an administrator or a jail wants.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Forget these entries, where they still are in these places.
    pub forget: Vec<(Key, u32)>,
    /// Allow this name since then, or no more.
    pub allow: Option<(AllowedName, Option<Seconds>)>,
    /// Ban a network, or no more.
    pub ban: Option<BanChange>,
}

/// The writer's own.
#[derive(Debug)]
pub(crate) struct Writer {
    pub engine: Arc<Engine>,
    log: Log,
    /// What memory does not know yet. Until it does, nothing is written but what stands: the index must be whole for the rest.
    loading: Option<Loading>,
    failing: bool,
    /// The file does not have the names that are allowed, nor the bans.
    lacks_standing: bool,
    crowded: bool,
    latest: Option<(Seconds, Terms)>,
}

impl Writer {
    pub(crate) fn new(engine: Arc<Engine>, log: Log, loading: Option<Loading>) -> Self {
        Self { engine, log, loading, failing: false, lacks_standing: false, crowded: false, latest: None }
    }

    /// Writes until the store is closed or nobody has it any more, and then what is left.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        if self.loading.is_some() {
            tracing::info!("{}: it is large, and read while mail is served", self.engine.file.name());
        }
        while !self.engine.closed.load(Ordering::SeqCst) {
            match self.next(commands) {
                Some(Command::Wake) => drop(self.commit(&Order::default())),
                Some(Command::Commit { order, reply }) => drop(reply.send(self.commit(&order))),
                None => break,
            }
        }
        if self.commit(&Order::default()).is_err() {
            let (file, lost) = (self.engine.file.name(), self.engine.table.unwritten());
            tracing::error!(lost, "{file}: changes that waited to be written are lost with this stop");
        }
        self.engine.file.close();
        self.engine.ended.send_replace(true);
    }

    /// The next command; a change is followed by a pause in which others may join it. Nothing at the end.
    fn next(&mut self, commands: &Receiver<Command>) -> Option<Command> {
        let pause = if let Some(loading) = self.loading.take() {
            self.load(loading)
        } else if self.failing {
            RETRY_INTERVAL
        } else {
            match commands.recv().ok()? {
                Command::Wake if !self.engine.closed.load(Ordering::SeqCst) => COMMIT_INTERVAL,
                command => return Some(command),
            }
        };
        match commands.recv_timeout(pause) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => Some(Command::Wake),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Plays the next part of the journal, and says how long the one after it waits.
    fn load(&mut self, mut loading: Loading) -> Duration {
        match loading.play_on(&self.engine, &mut self.log) {
            Ok(true) => self.loading = Some(loading),
            Ok(false) => self.end_loading(&loading),
            Err(fault) => {
                self.engine.complain("read", &fault);
                self.failing = true;
                self.engine.file.close();
                self.loading = Some(loading);
                self.begin_anew(&fault);
                return RETRY_INTERVAL;
            }
        }
        Duration::ZERO
    }

    /// Memory knows all there is.
    fn end_loading(&self, loading: &Loading) {
        // It is set here alone, and once.
        let _ = self.engine.loaded.set(());
        let (file, took) = (self.engine.file.name(), loading.took());
        let passed = self.engine.counters.unavailable.load(Ordering::Relaxed);
        tracing::info!(entries = self.engine.table.in_file(), passed, "{file}: read in {took:.1?}");
    }

    /// Writes what waits and what is ordered; says how many entries the order concerned.
    fn commit(&mut self, order: &Order) -> Result<u64, Unavailable> {
        self.engine.awake.store(false, Ordering::SeqCst);
        if self.failing && !self.reopened() {
            return Err(Unavailable::Unwritable);
        }
        let mut batch = self.gather(order);
        let ordered = batch.ordered;
        if batch.is_empty() {
            return ordered;
        }
        let mut log = self.log;
        let (engine, latest) = (&self.engine, self.latest);
        match engine.file.with(|database| write(engine, database, &mut log, &mut batch, latest)) {
            Ok(()) => {
                self.settle(log, batch);
                ordered
            }
            Err(fault) => {
                self.engine.complain("write", &fault);
                if self.recover(fault, log, batch) { ordered } else { Err(Unavailable::Unwritable) }
            }
        }
    }

    /// Everything that changed since the last commit, and what is ordered.
    fn gather(&mut self, order: &Order) -> Batch {
        let mut batch = Batch::new(self.log.next_block, 0);
        let table = &self.engine.table;
        let mut found = Vec::new();
        for (key, place) in &order.forget {
            let mut shard = table.shard_of(*key);
            if shard.index.contains(key.print().fingerprint(), *place) {
                table.free(shard.forget(*key));
                found.push((*key, *place));
            }
        }
        // The time of the batch must be known before its first block.
        let latest = table.numbers().filter_map(|number| table.shard(number).latest.take());
        self.latest = latest.max_by_key(|(now, _)| *now).or(self.latest);
        batch.now = self.latest.map_or(0, |(now, _)| now);
        for number in table.numbers() {
            for (key, change) in table.shard(number).begin_writing() {
                let record = Record { key: *key, row: change.known.row, names: &change.names };
                batch.add(&record, change.known.place, true);
            }
        }
        found.into_iter().for_each(|(key, place)| batch.forget(key, place));
        batch.gather_standing(&self.engine.standing, self.lacks_standing);
        let changed = batch.gather_ordered(&self.engine.standing, order);
        batch.ordered = changed.map(|changed| changed + batch.forgotten.len() as u64);
        batch
    }

    /// The batch is on the disk.
    fn settle(&mut self, log: Log, batch: Batch) {
        let table = &self.engine.table;
        self.log = log;
        if mem::take(&mut self.failing) {
            self.engine.rejoice();
        }
        if let Some(names) = batch.allowed {
            self.engine.standing.allowed.replace(names);
        }
        self.engine.standing.bans.apply(batch.bans);
        self.lacks_standing = false;
        self.engine.head.store(log.next_block, Ordering::SeqCst);
        for moves in batch.moves.chunk_by(|one, other| one.key.print().shard() == other.key.print().shard()) {
            table.moved(moves);
        }
        for (key, place) in &batch.forgotten {
            let mut shard = table.shard_of(*key);
            shard.index.remove(key.print().fingerprint(), *place);
            table.free(shard.forget(*key));
        }
        Counters::add(&self.engine.counters.commits, 1);
        Counters::add(&self.engine.counters.written, batch.moves.iter().filter(|entry| entry.to != 0).count() as u64);
        self.note_limits();
    }

    /// Says aloud, once, that the file is full.
    fn note_limits(&mut self) {
        let live = self.engine.table.in_file() as u64;
        let crowded = self.engine.limits.are_crowded(&self.log, live);
        if crowded && !self.crowded {
            tracing::warn!("the store has reached store.size_max: the oldest triplets that wait are forgotten");
        }
        self.crowded = crowded;
        self.engine.full.store(self.engine.limits.are_passed(&self.log, live), Ordering::Relaxed);
    }

    /// After a failure nothing is sure. The file is opened anew: either it has the batch, or it has not, or it is damaged.
    fn recover(&mut self, fault: Fault, log: Log, mut batch: Batch) -> bool {
        self.failing = true;
        self.engine.file.close();
        let opened = match fault {
            Fault::Damaged(why) => Err(Fault::Damaged(why)),
            _ => self.engine.file.reopen(self.engine.secret),
        };
        match opened {
            Ok(next) if next == log.next_row && next != self.log.next_row => {
                self.settle(log, batch);
                return true;
            }
            Ok(next) if next == self.log.next_row => self.abandon(&mut batch),
            Ok(next) => {
                self.abandon(&mut batch);
                self.lose_file(next);
            }
            Err(fault) => {
                self.abandon(&mut batch);
                self.begin_anew(&fault);
            }
        }
        false
    }

    /// Whether the file is open, after a failure.
    fn reopened(&mut self) -> bool {
        if self.engine.file.with(|_| Ok(())).is_ok() {
            return true;
        }
        match self.engine.file.reopen(self.engine.secret) {
            Ok(next) if next == self.log.next_row => true,
            Ok(next) => {
                self.lose_file(next);
                true
            }
            Err(fault) => {
                self.engine.complain("open", &fault);
                self.begin_anew(&fault);
                false
            }
        }
    }

    /// Sets a damaged file aside; the next commit begins another.
    fn begin_anew(&mut self, fault: &Fault) {
        let Fault::Damaged(why) = fault else { return };
        match self.engine.file.set_aside(why) {
            Ok(()) => self.lose_file(0),
            Err(error) => self.engine.complain("rename", &Fault::Failed(error)),
        }
    }

    /// What the batch held waits again.
    fn abandon(&mut self, batch: &mut Batch) {
        self.engine.standing.correspondents.put_back(mem::take(&mut batch.correspondents));
        self.lacks_standing |= batch.allowed.is_some() || !batch.bans.is_empty();
        let table = &self.engine.table;
        table.numbers().for_each(|number| table.free(table.shard(number).abandon_writing()));
    }

    /// The file that memory knew is gone; the numbers of its blocks are not used again.
    fn lose_file(&mut self, next_row: u64) {
        let table = &self.engine.table;
        table.numbers().for_each(|number| table.shard(number).lose_file());
        self.engine.standing.correspondents.lose();
        self.lacks_standing = true;
        self.log = Log { next_block: self.log.next_block, next_row, octets: 0, records: 0 };
        if let Some(loading) = self.loading.take() {
            self.end_loading(&loading);
        }
    }
}

/// The one transaction of a commit.
fn write(
    engine: &Engine,
    database: &Database,
    log: &mut Log,
    batch: &mut Batch,
    latest: Option<(Seconds, Terms)>,
) -> Result<(), Fault> {
    let mut write = database.begin_write()?;
    // Or a file of many entries would be walked through after a crash, while the mail waits.
    write.set_quick_repair(true);
    {
        let mut tables = Tables { journal: write.open_table(JOURNAL)?, blocks: write.open_table(BLOCKS)? };
        if let Some(latest) = latest {
            sweep(engine, &mut tables, log, batch, latest)?;
        }
        batch.weigh();
        for (number, block) in &batch.blocks {
            tables.blocks.insert(number, block.as_slice())?;
        }
        for row in &batch.journal {
            tables.journal.insert(log.next_row, row.write().as_slice())?;
            log.next_row += 1;
            log.octets += row.octets;
            log.records += row.records();
        }
        standing::write(&write, batch)?;
        write.open_table(META)?.insert("waits", engine.waits.write().as_slice())?;
    }
    write.commit()?;
    log.next_block = batch.next;
    Ok(())
}
