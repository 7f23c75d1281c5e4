//! A thread that reads the file: for attempts whose entries are not in memory, and for the administrator.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{ReadOnlyTable, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use super::file::{BLOCKS, Fault};
use super::record;
use super::shard::{Known, Read};
use crate::admin::Remembered;
use crate::key::Key;

/// How many jobs one transaction serves.
const JOBS_MAX: usize = 256;
/// How many blocks a scan reads before others have their turn.
const SCAN_BLOCKS: usize = 64;

/// Something to read.
#[derive(Debug)]
pub(crate) enum Job {
    /// What the file has under these keys, each in one of these places.
    Find { wanted: Vec<(Key, Vec<u32>)>, reply: oneshot::Sender<Vec<Read>> },
    /// The entries of some blocks, from the one of this number.
    Scan { from: u64, reply: oneshot::Sender<Scanned> },
    /// There is nothing more to read.
    End,
}

/// The entries of some blocks that count, in their order.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub entries: Vec<Entry>,
    /// Where the next scan begins; nothing at the end of the file.
    pub next: Option<u64>,
}

/// An entry of the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub block: u64,
    /// Which entry of its block it is.
    pub at: u32,
    pub key: Key,
    pub remembered: Remembered,
}

type Blocks = ReadOnlyTable<u64, &'static [u8]>;

/// Serves jobs until the end. Who gets no reply knows that reading failed.
pub(crate) fn run(engine: &Arc<Engine>, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::with_capacity(JOBS_MAX);
    while jobs.blocking_recv_many(&mut waiting, JOBS_MAX) > 0 {
        let served = engine.file.with(|database| {
            let blocks = database.begin_read()?.open_table(BLOCKS)?;
            for job in waiting.drain(..) {
                match job {
                    Job::Find { wanted, reply } => drop(reply.send(find(engine, &blocks, wanted)?)),
                    Job::Scan { from, reply } => drop(reply.send(scan(engine, &blocks, from)?)),
                    Job::End => return Ok(false),
                }
            }
            Ok(true)
        });
        match served {
            Ok(true) => {}
            Ok(false) => return,
            Err(fault) => {
                // Once it is closed, the writer may have ended before us, and the file with it.
                if !engine.closed.load(Ordering::SeqCst) {
                    engine.complain("read", &fault);
                }
                if waiting.drain(..).any(|job| matches!(job, Job::End)) {
                    return;
                }
            }
        }
    }
}

fn find(engine: &Engine, blocks: &Blocks, wanted: Vec<(Key, Vec<u32>)>) -> Result<Vec<Read>, Fault> {
    let mut reads = Vec::with_capacity(wanted.len());
    for (key, places) in wanted {
        let mut found = None;
        for place in &places {
            if found.is_none() {
                found = find_in_block(blocks, engine.block_number(*place), key)?;
            }
        }
        reads.push(Read { key, places, found });
    }
    Ok(reads)
}

/// The entry, if this block has it. One that was removed in the meantime has nothing; then the index has changed as well.
fn find_in_block(blocks: &Blocks, number: u64, key: Key) -> Result<Option<Known>, Fault> {
    let Some(block) = blocks.get(number)? else { return Ok(None) };
    let mut rest = block.value();
    while let Some(record) = record::next(&mut rest)? {
        if record.key == key {
            return Ok(Some(Known { row: record.row, place: number as u32 }));
        }
    }
    Ok(None)
}

fn scan(engine: &Engine, blocks: &Blocks, from: u64) -> Result<Scanned, Fault> {
    let mut scanned = Scanned::default();
    for block in blocks.range(from..)?.take(SCAN_BLOCKS) {
        let (number, block) = block?;
        let number = number.value();
        let (mut rest, mut at) = (block.value(), 0);
        while let Some(record::Record { key, row, names }) = record::next(&mut rest)? {
            if engine.table.shard_of(key).index.contains(key.print().fingerprint(), number as u32) {
                let remembered = Remembered { row, names: names.to_vec() };
                scanned.entries.push(Entry { block: number, at, key, remembered });
            }
            at += 1;
        }
        scanned.next = Some(number + 1);
    }
    Ok(scanned)
}
