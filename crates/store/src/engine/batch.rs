//! What one transaction writes: blocks of entries, and rows of the journal from which the index is rebuilt.

use rustc_hash::FxHashMap;

use super::record::{Damaged, Record};
use crate::Unavailable;
use crate::ban::BanChange;
use crate::greylist::Seconds;
use crate::key::{Key, Print};
use crate::standing::Names;

/// With its key a block fills a page of the file.
const BLOCK_MAX: usize = 4_064;
/// So many blocks have a row of the journal together: what goes with one row when it is swept.
const ROW_BLOCKS_MAX: usize = 128;

/// No block of a file has a higher number, and all of them together take less: what says otherwise is damaged.
const NUMBER_MAX: u64 = 1 << 48;

/// Where an entry was and where it is now; 0 is nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub key: Key,
    pub from: u32,
    pub to: u32,
}

/// Some blocks written together, and what they replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalRow {
    /// When, in seconds since 1970.
    pub written: u32,
    /// What they take of the file.
    pub octets: u64,
    /// The number of the first block; the others follow.
    pub first: u64,
    /// The keys of each block's entries, in their order.
    pub blocks: Vec<Vec<Print>>,
    /// Entries of older blocks that count no more.
    pub removed: Vec<(Print, u32)>,
}

/// What one transaction writes.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number of the next block.
    pub next: u64,
    /// When, in seconds since 1970.
    pub now: u32,
    pub blocks: Vec<(u64, Vec<u8>)>,
    pub journal: Vec<JournalRow>,
    /// What the blocks hold, and what was swept away.
    pub moves: Vec<Move>,
    /// What an administrator wants forgotten.
    pub forgotten: Vec<(Key, u32)>,
    /// How many entries concern what was ordered.
    pub ordered: Result<u64, Unavailable>,
    /// The file has nothing of what stands: neither names nor bans.
    pub anew: bool,
    /// The names that are allowed, if they change.
    pub allowed: Option<Names>,
    /// When one of ours has last written to somebody; nothing where that is forgotten.
    pub correspondents: FxHashMap<Key, Option<Seconds>>,
    /// The bans that change.
    pub bans: Vec<BanChange>,
}

impl Batch {
    /// An empty one.
    pub(crate) fn new(next: u64, now: u32) -> Self {
        Self {
            next,
            now,
            blocks: Vec::new(),
            journal: Vec::new(),
            moves: Vec::new(),
            forgotten: Vec::new(),
            ordered: Ok(0),
            anew: false,
            allowed: None,
            correspondents: FxHashMap::default(),
            bans: Vec::new(),
        }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        let has_entries = !self.moves.is_empty() || !self.forgotten.is_empty();
        !has_entries && self.allowed.is_none() && self.correspondents.is_empty() && self.bans.is_empty()
    }

    /// Writes an entry. Its old place is removed by the journal, unless the whole old block is.
    pub(crate) fn add(&mut self, record: &Record<'_>, from: u32, old_block_stays: bool) {
        let full = |(_, block): &(u64, Vec<u8>)| block.len() + record.len() > BLOCK_MAX;
        if self.blocks.last().is_none_or(full) {
            self.begin_block();
        }
        let (Some((number, block)), Some(row)) = (self.blocks.last_mut(), self.journal.last_mut()) else { return };
        record.write(block);
        let print = record.key.print();
        if let Some(prints) = row.blocks.last_mut() {
            prints.push(print);
        }
        if from != 0 && old_block_stays {
            row.removed.push((print, from));
        }
        self.moves.push(Move { key: record.key, from, to: *number as u32 });
    }

    /// Forgets an entry of a block that stays.
    pub(crate) fn forget(&mut self, key: Key, from: u32) {
        if self.journal.is_empty() {
            self.begin_row();
        }
        if let Some(row) = self.journal.last_mut() {
            row.removed.push((key.print(), from));
        }
        self.forgotten.push((key, from));
    }

    /// The rows of the journal, with what their blocks take of the file.
    pub(crate) fn weigh(&mut self) {
        let mut blocks = self.blocks.iter();
        for row in &mut self.journal {
            let own = blocks.by_ref().take(row.blocks.len());
            row.octets = own.map(|(_, block)| footprint(block.len())).sum::<u64>() + footprint(row.len());
        }
    }

    fn begin_block(&mut self) {
        if self.journal.last().is_none_or(|row| row.blocks.len() >= ROW_BLOCKS_MAX) {
            self.begin_row();
        }
        self.blocks.push((self.next, Vec::with_capacity(BLOCK_MAX)));
        if let Some(row) = self.journal.last_mut() {
            row.blocks.push(Vec::new());
        }
        self.next = after(self.next);
    }

    fn begin_row(&mut self) {
        self.journal.push(JournalRow { written: self.now, first: self.next, ..JournalRow::default() });
    }
}

/// The number of the block after this one: its lower half is a place, and 0 is none.
pub(crate) fn after(number: u64) -> u64 {
    if number as u32 == u32::MAX { number + 2 } else { number + 1 }
}

/// What a value takes of the file: a page if it needs one for itself, else twice its size, as pages may be half empty.
fn footprint(len: usize) -> u64 {
    let len = len as u64 + 32;
    if len > 2_048 { len.next_multiple_of(4_096) } else { len * 2 }
}

impl JournalRow {
    /// The numbers of its blocks.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(self.first), |number| Some(after(*number))).take(self.blocks.len())
    }

    /// How many entries its blocks have.
    pub(crate) fn records(&self) -> u64 {
        self.blocks.iter().map(|prints| prints.len() as u64).sum()
    }

    fn len(&self) -> usize {
        22 + self.blocks.iter().map(|prints| 2 + 5 * prints.len()).sum::<usize>() + 9 * self.removed.len()
    }

    /// When, what they take, the first block, how many; for each block how many entries and their keys; then what is
    /// removed. All little-endian.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.len());
        row.extend_from_slice(&self.written.to_le_bytes());
        row.extend_from_slice(&self.octets.to_le_bytes());
        row.extend_from_slice(&self.first.to_le_bytes());
        row.extend_from_slice(&(self.blocks.len() as u16).to_le_bytes());
        for prints in &self.blocks {
            row.extend_from_slice(&(prints.len() as u16).to_le_bytes());
            prints.iter().for_each(|print| row.extend_from_slice(&print.octets()));
        }
        for (print, place) in &self.removed {
            row.extend_from_slice(&print.octets());
            row.extend_from_slice(&place.to_le_bytes());
        }
        row
    }

    /// The row as it was written.
    pub(crate) fn read(mut row: &[u8]) -> Result<Self, Damaged> {
        let row = &mut row;
        let written = u32::from_le_bytes(take(row)?);
        let octets = u64::from_le_bytes(take(row)?);
        let first = u64::from_le_bytes(take(row)?);
        let mut blocks = Vec::new();
        for _ in 0..u16::from_le_bytes(take(row)?) {
            let count = u16::from_le_bytes(take(row)?);
            blocks.push((0..count).map(|_| Ok(Print::from_octets(take(row)?))).collect::<Result<_, Damaged>>()?);
        }
        let mut removed = Vec::new();
        while !row.is_empty() {
            removed.push((Print::from_octets(take(row)?), u32::from_le_bytes(take(row)?)));
        }
        if first as u32 == 0
            || first > NUMBER_MAX
            || octets > NUMBER_MAX
            || removed.iter().any(|(_, place)| *place == 0)
        {
            return Err(Damaged);
        }
        Ok(Self { written, octets, first, blocks, removed })
    }
}

/// For the fuzz target: any octets are a row of the file's journal that is written as it was read, or none; the same as a
/// block of entries, and as the histogram of waiting.
#[cfg(fuzzing)]
pub fn read_any_row(octets: &[u8]) {
    if let Ok(row) = JournalRow::read(octets) {
        assert_eq!(row.write(), octets);
        assert_eq!(row.numbers().count(), row.blocks.len());
    }
    let (mut rest, mut block) = (octets, Vec::new());
    while let Ok(Some(record)) = super::record::next(&mut rest) {
        record.write(&mut block);
    }
    assert!(octets.starts_with(&block));
    if let Ok(waits) = super::waits::Waits::read(octets) {
        assert_eq!(waits.write(), octets);
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (taken, rest) = from.split_first_chunk().ok_or(Damaged)?;
    *from = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::Row;
    use crate::greylist::Client;

    #[test]
    fn the_journal_says_what_the_blocks_have() {
        // The lower half of a block's number is its place, and 0 is none.
        let first = (7 << 32) + u64::from(u32::MAX) - 20;
        let mut batch = Batch::new(first, 99);
        let names = [b'x'; 900];
        let row = Row::Client(Client { count: 1, last: 1 });
        for number in 0..1_200_u32 {
            let key = Key(u128::from(number) << 90);
            batch.add(&Record { key, row, names: &names }, number, number % 2 == 0);
        }
        batch.forget(Key(5 << 90), 77);
        batch.weigh();
        assert!(!batch.is_empty());
        assert_eq!(batch.moves.len(), 1_200);
        assert!(batch.moves.iter().all(|entry| entry.to != 0));
        assert!(batch.blocks.iter().all(|(_, block)| block.len() <= BLOCK_MAX));
        assert_eq!(batch.journal.len(), 300_usize.div_ceil(ROW_BLOCKS_MAX));
        let numbers = Vec::from_iter(batch.journal.iter().flat_map(JournalRow::numbers));
        assert_eq!(numbers, Vec::from_iter(batch.blocks.iter().map(|(number, _)| *number)));
        assert_eq!(batch.journal.iter().map(JournalRow::records).sum::<u64>(), 1_200);
        assert_eq!(batch.journal.iter().map(|row| row.removed.len()).sum::<usize>(), 599 + 1);
        for row in &batch.journal {
            let written = row.write();
            assert_eq!(written.len(), row.len());
            assert_eq!(JournalRow::read(&written).as_ref(), Ok(row));
            assert_eq!(JournalRow::read(&written[..written.len() - 1]), Err(Damaged));
            assert!(row.octets >= row.blocks.len() as u64 * 4_096);
        }
    }
    #[test]
    fn numbers_that_no_store_reaches_are_damage() {
        let row = JournalRow { octets: 4_096, first: 1, blocks: vec![Vec::new()], ..JournalRow::default() };
        assert_eq!(JournalRow::read(&row.write()).as_ref(), Ok(&row));
        for row in [JournalRow { first: u64::MAX, ..row.clone() }, JournalRow { octets: u64::MAX, ..row.clone() }] {
            assert_eq!(JournalRow::read(&row.write()), Err(Damaged));
        }
    }
}
