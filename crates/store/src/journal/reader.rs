//! The journal as its readers see it: its files, whether a server writes them or not.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

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
        let mut segments = segment::list(&self.directory, SEGMENTS)?;
        // It stands in the last one that begins before it, unless it took long or the clock was set back.
        let later = segments.split_off(segments.partition_point(|segment| segment.start <= id));
        for segment in segments.into_iter().rev().chain(later) {
            let (rows, _) = self.rows(&segment, 0, |from| {
                let is_meant = DecisionId::read(&mut from.clone()) == Some(id);
                Some(if is_meant { Some(Row::read(from)?) } else { None })
            })?;
            if let Some(row) = rows.into_iter().flatten().next() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The last `limit` rows that are wanted, in the order in which they were written, and whether there are more.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn latest(&mut self, limit: usize, wanted: impl Fn(&Row) -> bool) -> io::Result<(Vec<Row>, bool)> {
        let mut found = VecDeque::new();
        let segments = segment::list(&self.directory, SEGMENTS)?;
        for (number, segment) in segments.iter().rev().enumerate() {
            let (rows, end) = self.rows(segment, 0, |from| Row::read(from).map(|row| wanted(&row).then_some(row)))?;
            if number == 0 {
                self.end = Some((segment.start, end));
            }
            for row in rows.into_iter().flatten().rev() {
                if found.len() == limit {
                    return Ok((found.into(), true));
                }
                found.push_front(row);
            }
            if found.len() == limit && limit == 0 {
                break;
            }
        }
        Ok((found.into(), false))
    }

    /// What was written since [`Self::latest`], or since this was asked last.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<Row>> {
        let mut found = Vec::new();
        for segment in segment::list(&self.directory, SEGMENTS)? {
            let from = match self.end {
                Some((start, _)) if segment.start < start => continue,
                Some((start, end)) if segment.start == start => end,
                _ => 0,
            };
            let (rows, end) = self.rows(&segment, from, Row::read)?;
            self.end = Some((segment.start, end));
            found.extend(rows);
        }
        Ok(found)
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

    /// What `read` makes of the rows of a segment from this place on, and where its whole blocks end.
    fn rows<T>(
        &mut self,
        segment: &Segment,
        from: u64,
        mut read: impl FnMut(&mut In<'_>) -> Option<T>,
    ) -> io::Result<(Vec<T>, u64)> {
        let octets = segment::load(&segment.path, from)?;
        let body = if from == 0 { segment::body(&octets, ROWS) } else { Ok(&*octets) };
        let body = match body {
            Ok(body) => body,
            Err(why) => {
                self.complain(segment, why);
                return Ok((Vec::new(), from + octets.len() as u64));
            }
        };
        let mut rows = Vec::new();
        let mut blocks = Blocks::of(body);
        let mut damage = None;
        for next in blocks.by_ref() {
            match next {
                Next::Block(block) => {
                    for row in block::records(block, &mut read) {
                        match row {
                            Some(row) => rows.push(row),
                            None => damage = Some("a row cannot be read and is passed over"),
                        }
                    }
                }
                Next::Damaged => damage = Some("a part is damaged and passed over"),
                Next::Lost => damage = Some("the rest of it is damaged and passed over"),
            }
        }
        damage.into_iter().for_each(|why| self.complain(segment, why));
        Ok((rows, from + (octets.len() - blocks.rest().len()) as u64))
    }

    fn complain(&mut self, segment: &Segment, why: &str) {
        self.complaints.push(format!("{}: {why}", segment.path.display()));
    }
}

/// Reads whatever these octets hold as a segment, as a reader does: for a fuzzer.
#[doc(hidden)]
pub fn read_all(octets: &[u8]) -> Vec<Row> {
    let blocks = Blocks::of(segment::body(octets, ROWS).unwrap_or_default());
    let whole = blocks.filter_map(|next| match next {
        Next::Block(block) => Some(block),
        Next::Damaged | Next::Lost => None,
    });
    whole.flat_map(|block| block::records(block, Row::read)).flatten().collect()
}
