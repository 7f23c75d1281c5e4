//! Which row answers for an address, as sorted ranges. The rows of a table are painted one after another, and what
//! is painted stays: so the first row counts, and a lookup is one search in a sorted list.

use std::collections::BTreeMap;

/// No row at all.
const NONE: u32 = u32::MAX;

/// The addresses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub first: u128,
    pub last: u128,
}

impl Span {
    /// What both hold.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    /// What lies before `other` and after it.
    pub(super) fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let before = other.first.checked_sub(1).map(|last| Self { first: 0, last });
        let after = other.last.checked_add(1).map(|first| Self { first, last: u128::MAX });
        [before, after].into_iter().flatten().filter_map(move |side| self.and(side))
    }
}

/// Addresses of one family that get their rows.
#[derive(Debug)]
pub(super) struct Canvas {
    /// What is not painted yet: first and last addresses.
    free: BTreeMap<u128, u128>,
    painted: Vec<(Span, u32)>,
}

impl Canvas {
    /// With nothing painted on `all`.
    pub(super) fn new(all: Span) -> Self {
        Self { free: BTreeMap::from([(all.first, all.last)]), painted: Vec::new() }
    }

    /// Gives `row` all of `span` that is still free.
    pub(super) fn paint(&mut self, span: Span, row: u32) {
        while let Some((&first, &last)) = self.free.range(..=span.last).next_back() {
            let Some(both) = span.and(Span { first, last }) else { return };
            self.free.remove(&first);
            for rest in (Span { first, last }).without(span) {
                self.free.insert(rest.first, rest.last);
            }
            self.painted.push((both, row));
        }
    }

    /// The ranges, their addresses made `A`.
    pub(super) fn finish<A: TryFrom<u128>>(mut self) -> Ranges<A> {
        self.painted.extend(self.free.into_iter().map(|(first, last)| (Span { first, last }, NONE)));
        self.painted.sort_unstable();
        self.painted.dedup_by_key(|(_, row)| *row);
        let (starts, rows) =
            self.painted.into_iter().filter_map(|(span, row)| Some((A::try_from(span.first).ok()?, row))).unzip();
        Ranges { starts, rows }
    }
}

/// Every address of a family, in ranges that begin at `starts`.
#[derive(Debug)]
pub(super) struct Ranges<A> {
    starts: Vec<A>,
    rows: Vec<u32>,
}

impl<A: Copy + Ord> Ranges<A> {
    /// The number of the row that answers for `address`.
    pub(super) fn row(&self, address: A) -> Option<usize> {
        let after = self.starts.partition_point(|start| *start <= address);
        let row = *self.rows.get(after.checked_sub(1)?)?;
        usize::try_from(row).ok().filter(|_| row != NONE)
    }
}
