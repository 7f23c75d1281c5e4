//! How memory comes to know what the file has: by its journal, a large one in parts, while mail is served.

use std::time::{Duration, Instant};

use redb::{ReadTransaction, ReadableDatabase};

use super::Engine;
use super::batch::JournalRow;
use super::file::{Fault, JOURNAL, Log};
use super::table::Table;
use crate::key::Print;

/// How far a large journal is played.
#[derive(Debug)]
pub(crate) struct Loading {
    next_row: u64,
    together: usize,
    /// The index has room for all of it.
    has_room: bool,
    begun: Instant,
}

impl Loading {
    /// Goes on with this row, with so many entries `together`.
    pub(crate) fn new(next_row: u64, together: usize) -> Self {
        Self { next_row, together, has_room: false, begun: Instant::now() }
    }

    /// Plays the next part. Whether there is more.
    pub(crate) fn play_on(&mut self, engine: &Engine, log: &mut Log) -> Result<bool, Fault> {
        let mut longer = *log;
        let next = engine.file.with(|database| {
            let read = database.begin_read()?;
            if !self.has_room {
                make_room(&read, &engine.table, self.next_row)?;
            }
            play_journal(&read, &engine.table, &mut longer, self.next_row, self.together)
        })?;
        *log = longer;
        self.has_room = true;
        self.next_row = next.unwrap_or(self.next_row);
        Ok(next.is_some())
    }

    /// How long it has taken.
    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// Plays rows of the journal, from the one of this number on, until they have as many entries as are played `together`:
/// what each commit added, and what it removed of what older ones had added. Says which row is next; nothing after the last.
pub(crate) fn play_journal(
    read: &ReadTransaction,
    table: &Table,
    log: &mut Log,
    from: u64,
    together: usize,
) -> Result<Option<u64>, Fault> {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    let mut next = None;
    for row in read.open_table(JOURNAL)?.range(from..)? {
        let (number, row) = row?;
        if added.len() + removed.len() >= together {
            next = Some(number.value());
            break;
        }
        let row = JournalRow::read(row.value())?;
        for (block, prints) in row.numbers().zip(&row.blocks) {
            added.extend(prints.iter().map(|print| (*print, block as u32)));
        }
        log.octets += row.octets;
        log.records += row.records();
        removed.extend(row.removed);
    }
    play(table, &mut added, &mut removed);
    Ok(next)
}

/// Makes room for all that is to be played from this row on: to grow by and by takes longer than all the rest.
fn make_room(read: &ReadTransaction, table: &Table, from: u64) -> Result<(), Fault> {
    let mut more = [0_usize; 1 << u8::BITS];
    for row in read.open_table(JOURNAL)?.range(from..)? {
        let row = JournalRow::read(row?.1.value())?;
        row.blocks.iter().flatten().for_each(|print| more[usize::from(print.shard())] += 1);
        for (print, _) in &row.removed {
            let less = &mut more[usize::from(print.shard())];
            *less = less.saturating_sub(1);
        }
    }
    table.numbers().zip(more).for_each(|(number, more)| table.shard(number).index.reserve(more));
    Ok(())
}

/// Adds and removes in the order of the index, which is several times as fast as in the order of time. What is removed
/// was added before, and nothing is added twice.
fn play(table: &Table, added: &mut [(Print, u32)], removed: &mut [(Print, u32)]) {
    added.sort_unstable();
    for entries in added.chunk_by(|(one, _), (other, _)| one.shard() == other.shard()) {
        let Some((first, _)) = entries.first() else { continue };
        let index = &mut table.shard(first.shard().into()).index;
        index.reserve(entries.len());
        entries.iter().for_each(|(print, place)| index.insert(print.fingerprint(), *place));
    }
    removed.sort_unstable();
    for (print, place) in removed.iter() {
        table.shard(print.shard().into()).index.remove(print.fingerprint(), *place);
    }
}
