//! What keeps the file small: the oldest blocks are removed, and what of them still counts is written anew.
//!
//! Every change is written at the end, so the oldest blocks hold what was not touched for longest. A waiting triplet is
//! expired when its block is one retry window old; what passed moves on, once in that time.

use redb::{ReadableTable, Table};

use super::Engine;
use super::batch::{Batch, JournalRow, Move};
use super::file::{Fault, Log};
use super::record::{self, Damaged, Record, Row};
use crate::counters::Counters;
use crate::greylist::{Seconds, Terms, Triplet};

/// How many entries one commit looks at, besides four for each that it writes.
const RECORDS_MAX: u64 = 4_096;
/// Below this it is not worth while to sweep out what counts no more.
const DEAD_MIN: u64 = 65_536;

/// How the file is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What blocks and journal may take of the file.
    pub octets_max: u64,
    /// How many entries the index may have.
    pub entries_max: u64,
}

/// The two tables of the log, in one transaction.
pub(crate) struct Tables<'a> {
    pub journal: Table<'a, u64, &'static [u8]>,
    pub blocks: Table<'a, u64, &'static [u8]>,
}

impl Limits {
    /// A file of this size: half of it is room to grow, as the file grows by doubling, and some for what a commit rewrites.
    pub(crate) fn of_file(size_max: u64) -> Self {
        Self { octets_max: size_max / 20 * 8, entries_max: size_max / 256 }
    }

    /// Whether waiting triplets must go before their time: what counts is already close together.
    pub(crate) fn are_crowded(&self, log: &Log, live: u64) -> bool {
        (log.octets > self.octets_max && log.records / 5 * 4 < live) || live > self.entries_max
    }

    /// Whether there is no room for anything new, until the sweeping has caught up.
    pub(crate) fn are_passed(&self, log: &Log, live: u64) -> bool {
        let sixteenth_over = |max: u64| max + max / 16;
        log.octets > sixteenth_over(self.octets_max) || live > sixteenth_over(self.entries_max)
    }
}

/// Removes the oldest blocks, as many as are due and this commit may.
pub(crate) fn sweep(
    engine: &Engine,
    tables: &mut Tables<'_>,
    log: &mut Log,
    batch: &mut Batch,
    (now, terms): (Seconds, Terms),
) -> Result<(), Fault> {
    let mut live = engine.table.in_file() as u64;
    let mut budget = RECORDS_MAX + 4 * batch.moves.len() as u64;
    while budget > 0 {
        let Some(row) = oldest(tables)? else { break };
        let age = u64::from(now.saturating_sub(row.written));
        let due = age > terms.retry_window.as_secs()
            || log.records > 2 * live + DEAD_MIN
            || log.octets > engine.limits.octets_max
            || live > engine.limits.entries_max;
        if !due {
            break;
        }
        let crowded = engine.limits.are_crowded(log, live);
        let gone = remove(engine, tables, &row, batch, |row| {
            if row.expired(now, &terms) {
                Some(&engine.counters.expired)
            } else {
                let waits = matches!(row, Row::Triplet(Triplet { passed: false, .. }));
                (crowded && waits).then_some(&engine.counters.dropped)
            }
        })?;
        live -= gone.min(live);
        log.octets -= row.octets.min(log.octets);
        log.records -= row.records().min(log.records);
        budget = budget.saturating_sub(row.records().max(64));
    }
    Ok(())
}

fn oldest(tables: &Tables<'_>) -> Result<Option<JournalRow>, Fault> {
    Ok(tables.journal.first()?.map(|(_, row)| JournalRow::read(row.value())).transpose()?)
}

/// Removes the oldest row of the journal with its blocks; what counts and is not `over` is added to the batch. Says how
/// many counted and are no more.
fn remove<'a>(
    engine: &Engine,
    tables: &mut Tables<'_>,
    row: &JournalRow,
    batch: &mut Batch,
    over: impl Fn(Row) -> Option<&'a std::sync::atomic::AtomicU64>,
) -> Result<u64, Fault> {
    let mut gone = 0;
    for number in row.numbers() {
        let removed = tables.blocks.remove(number)?.ok_or(Damaged)?;
        let mut block = removed.value();
        while let Some(record) = record::next(&mut block)? {
            if !counts(engine, &record, number as u32) {
                continue;
            }
            if let Some(counter) = over(record.row) {
                Counters::add(counter, 1);
                batch.moves.push(Move { key: record.key, from: number as u32, to: 0 });
                gone += 1;
            } else {
                batch.add(&record, number as u32, false);
            }
        }
    }
    tables.journal.pop_first()?;
    Ok(gone)
}

/// Whether the block of this place is the one that has the entry, and this commit does not write it anyway.
fn counts(engine: &Engine, record: &Record<'_>, place: u32) -> bool {
    let shard = engine.table.shard_of(record.key);
    shard.index.contains(record.key.print().fingerprint(), place) && !shard.is_writing(record.key)
}
