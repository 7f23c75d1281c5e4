//! The journal as its readers see it: its files, whether a server writes them or not.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use facts::DecisionId;

use super::block::{self, Blocks, Next};
use super::codec::{Field, In};
use super::hours::{self, Count};
use super::row::Row;
use super::segment::{self, ROWS, SEGMENTS, Segment};

/// Reads the journal in one directory. What is damaged is passed over, and told.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    /// How far the last segment has been read.
    end: Option<(DecisionId, u64)>,
    complaints: Vec<String>,
}

impl Reader {
    /// A reader of the journal in this directory.
    ///
    /// # Errors
    /// If there is none, or it may not be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        segment::list(directory, SEGMENTS)?;
        Ok(Self { directory: directory.to_owned(), end: None, complaints: Vec::new() })
    }

    /// The row of a decision.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn find(&mut self, id: DecisionId) -> io::Result<Option<Row>> {
        let segments = segment::list(&self.directory, SEGMENTS)?;
        // It stands in the last one that begins before it, or, if it took long, in the next; or anywhere, if the clock was set.
        let likeliest = segments.partition_point(|segment| segment.start <= id).saturating_sub(1);
        let mut segments = Vec::from_iter(segments.into_iter().enumerate());
        segments.sort_by_key(|(number, _)| number.abs_diff(likeliest));
        for (_, segment) in segments {
            let mut found = None;
            self.read(&segment, 0, |from| {
                if DecisionId::read(&mut from.clone())? == id {
                    found = Some(Row::read(from)?);
                }
                Some(())
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The last `limit` rows that are wanted, in the order of their ids, and whether there may be more. Segments that were
    /// last written before `since` are left out unread.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn latest(
        &mut self,
        limit: usize,
        since: Option<SystemTime>,
        wanted: impl Fn(&Row) -> bool,
    ) -> io::Result<(Vec<Row>, bool)> {
        let mut all = VecDeque::new();
        let mut more = false;
        for (number, segment) in segment::list(&self.directory, SEGMENTS)?.iter().rev().enumerate() {
            if number > 0 && all.len() == limit {
                more = true;
                break;
            }
            if number > 0 && since.is_some_and(|since| segment.was_written_before(since)) {
                continue;
            }
            let mut found = VecDeque::new();
            let end = self.read(segment, 0, |from| {
                let row = Row::read(from)?;
                if wanted(&row) {
                    found.push_back(row);
                }
                if all.len() + found.len() > limit {
                    found.pop_front();
                    more = true;
                }
                Some(())
            })?;
            if number == 0 {
                self.end = Some((segment.start, end));
            }
            found.extend(all);
            all = found;
        }
        Ok((in_order(all.into()), more))
    }

    /// What was written since [`Self::latest`], or since this was asked last.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for segment in segment::list(&self.directory, SEGMENTS)? {
            let from = match self.end {
                Some((start, _)) if segment.start < start => continue,
                Some((start, end)) if segment.start == start => end,
                _ => 0,
            };
            let end = self.read(&segment, from, |from| {
                rows.push(Row::read(from)?);
                Some(())
            })?;
            self.end = Some((segment.start, end));
        }
        Ok(in_order(rows))
    }

    /// The counts by the hour, the oldest first.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn counts(&mut self) -> io::Result<Vec<Count>> {
        let complaints = &mut self.complaints;
        hours::counts(&self.directory, |path, why| complaints.push(format!("{}: {why}", path.display())))
    }

    /// What was wrong with the files so far: a sentence for each place.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// Gives the rows of a segment from this place on to `read`. Where its whole blocks end.
    fn read(
        &mut self,
        segment: &Segment,
        from: u64,
        mut read: impl FnMut(&mut In<'_>) -> Option<()>,
    ) -> io::Result<u64> {
        let octets = segment::load(&segment.path, from)?;
        let body = if from == 0 { segment::body(&octets, ROWS) } else { Ok(&*octets) };
        let mut blocks = Blocks::of(body.unwrap_or_default());
        let mut damage = body.err();
        for next in blocks.by_ref() {
            match next {
                Next::Block(block) if block::records(block, &mut read) => {}
                Next::Block(_) => damage = Some("a row cannot be read and is passed over"),
                Next::Damaged => damage = Some("a part is damaged and passed over"),
                Next::Lost => damage = Some("the rest of it is damaged and passed over"),
            }
        }
        damage.into_iter().for_each(|why| self.complain(segment, why));
        Ok(from + (octets.len() - blocks.rest().len()) as u64)
    }

    fn complain(&mut self, segment: &Segment, why: &str) {
        self.complaints.push(format!("{}: {why}", segment.path.display()));
    }
}

/// What several threads decided within a moment stands in the file one thread after the other.
fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.decision.id);
    rows
}

/// How many rows these octets hold, read as a segment is: for a fuzzer.
#[doc(hidden)]
pub fn read_all(octets: &[u8]) -> usize {
    let mut rows = 0;
    for next in Blocks::of(segment::body(octets, ROWS).unwrap_or_default()) {
        if let Next::Block(block) = next {
            block::records(block, |from| {
                rows += 1;
                Row::read(from).map(drop)
            });
        }
    }
    rows
}

/// A segment of one block of these octets: what a fuzzer could not guess.
#[doc(hidden)]
pub fn whole_segment(block: &[u8]) -> Vec<u8> {
    let mut octets = segment::first_line(ROWS).into_bytes();
    block::push(&mut octets, |octets| octets.extend_from_slice(block));
    octets
}
