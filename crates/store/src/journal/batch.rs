//! Rows made octets, and counted, on their way to the file: what becomes one block.

use facts::DecisionId;
use rustc_hash::FxHashMap;

use super::Row;
use super::block::BLOCK_SIZE;
use super::codec::{Field, Out};
use super::hours::Kind;

/// What one row may take; a longer one loses its findings, as a hostile DNS answer can be long.
const ROW_MAX: usize = 256 << 10;

/// Octets of a block and its last row; few rows are longer than what is added here.
const ROOM: usize = BLOCK_SIZE + (4 << 10);

/// The first of no rows.
const NONE: DecisionId = DecisionId::of_number(u64::MAX);

/// Some rows of one thread.
#[derive(Debug)]
pub(crate) struct Batch {
    pub out: Out,
    pub rows: u64,
    /// The lowest id of them.
    pub first: DecisionId,
    pub counts: FxHashMap<Kind, u64>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { out: Out::default(), rows: 0, first: NONE, counts: FxHashMap::default() }
    }
}

impl Batch {
    /// Adds a row. Whether there was room for it, at least without its findings.
    pub(crate) fn add(&mut self, row: &Row) -> bool {
        if self.rows == 0 {
            // To grow by and by would cost more than the rest.
            self.out.octets.reserve(ROOM);
        }
        let written = self.out.record(ROW_MAX, |out| row.write(out))
            || self.out.record(ROW_MAX, |out| row.without_findings().write(out));
        if written {
            self.rows += 1;
            self.first = self.first.min(row.decision.id);
            *self.counts.entry(Kind::of(row)).or_default() += 1;
        }
        written
    }

    /// Forgets its rows, but keeps the memory that they took.
    pub(crate) fn clear(&mut self) {
        let Self { out, rows, first, counts } = self;
        out.clear();
        out.octets.shrink_to(ROOM);
        counts.clear();
        (*rows, *first) = (0, NONE);
    }

    /// Whether it is to become a block.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= BLOCK_SIZE
    }
}
