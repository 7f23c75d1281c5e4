//! The thread that writes the journal: all rows of 10 ms at once, into the segment of the hour.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use facts::DecisionId;

use super::batch::Batch;
use super::block;
use super::hours::Hours;
use super::queue::{Queue, Then};
use super::segment::{self, ROWS, SEGMENTS};
use super::{Config, FILE_MODE};
use crate::complaint::Complaint;

/// How long a row waits for others.
const LINGER: Duration = Duration::from_millis(10);
/// How often what is written is forced to the disk: what a power cut may cost.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How often the counts of the hour are written: what a crash may cost of them.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked for what is too old or too much, and how often losses are told.
const HOUSE_INTERVAL: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Octets of a segment, at most; and never more than a 16th of all.
const SEGMENT_SIZE: u64 = 16 << 20;
/// Octets that are handed to the system at once, and a block more: less than the smallest segment.
const CHUNK_SIZE: usize = 128 << 10;
const HOUR: u64 = 3_600;

/// The thread's own.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Arc<Queue>,
    config: Config,
    directory: PathBuf,
    segment: Option<Open>,
    /// Whole blocks that are still to be written.
    unwritten: VecDeque<Chunk>,
    /// The memory of blocks that were written, for the next.
    spare: Vec<u8>,
    hours: Hours,
    /// What is written is not on the disk for sure.
    dirty: bool,
    synced: Instant,
    counted: Instant,
    looked: Instant,
    /// What is unwritten could not be written.
    failing: bool,
    complaint: Complaint,
    /// How many dropped rows were told of.
    told: u64,
    /// Keeps other processes away for as long as it is open.
    _lock: File,
}

/// Blocks of some rows.
#[derive(Debug)]
struct Chunk {
    octets: Vec<u8>,
    rows: u64,
    /// The lowest id of them.
    first: DecisionId,
}

impl Default for Chunk {
    fn default() -> Self {
        Self { octets: Vec::new(), rows: 0, first: DecisionId::of_number(u64::MAX) }
    }
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    start: DecisionId,
    file: File,
    /// Where it ends, whatever a failed attempt has left behind there.
    end: u64,
    hour: u64,
}

impl Writer {
    pub(crate) fn new(queue: Arc<Queue>, config: &Config, directory: &Path, lock: File) -> Self {
        let now = Instant::now();
        Self {
            queue,
            config: config.clone(),
            directory: directory.to_owned(),
            segment: None,
            unwritten: VecDeque::new(),
            spare: Vec::new(),
            hours: Hours::new(directory),
            dirty: false,
            synced: now,
            counted: now,
            looked: now,
            failing: false,
            complaint: Complaint::default(),
            told: 0,
            _lock: lock,
        }
    }

    /// Writes until the journal is closed, and then what is left.
    pub(crate) fn run(mut self) {
        self.keep_limits(SystemTime::now());
        loop {
            let mut then = Then::GoOn;
            if !self.unwritten.is_empty() {
                then = self.queue.pause(RETRY_INTERVAL);
            }
            if self.unwritten.is_empty() || then == Then::End {
                let (batches, next) = self.queue.next(LINGER, self.patience());
                self.take(&batches);
                self.queue.give_back(batches);
                then = next;
            }
            self.write(SystemTime::now());
            self.keep_house(then);
            if then == Then::End {
                break;
            }
        }
        let unwritten = self.unwritten.iter().map(|chunk| chunk.rows).sum();
        self.queue.counters.dropped.fetch_add(unwritten, Relaxed);
        self.tell_losses();
        let queue = Arc::clone(&self.queue);
        // Whoever waits for the end may open the journal again.
        drop(self);
        queue.end();
    }

    /// How long nothing needs to be done where no row comes.
    fn patience(&self) -> Duration {
        if self.dirty {
            SYNC_INTERVAL
        } else if self.hours.is_dirty() {
            COUNT_INTERVAL
        } else {
            HOUSE_INTERVAL
        }
    }

    /// Counts rows, and makes blocks of them.
    fn take(&mut self, batches: &[Batch]) {
        let mut chunk = Chunk { octets: std::mem::take(&mut self.spare), ..Chunk::default() };
        for Batch { out, rows, first, counts } in batches {
            block::push(&mut chunk.octets, |octets| out.append_to(octets));
            chunk.rows += rows;
            chunk.first = chunk.first.min(*first);
            for (kind, count) in counts {
                if let Err(error) = self.hours.count(*kind, *count) {
                    self.complain("count", &error);
                }
            }
            if chunk.octets.len() >= CHUNK_SIZE {
                self.unwritten.push_back(std::mem::take(&mut chunk));
            }
        }
        if chunk.rows > 0 {
            self.unwritten.push_back(chunk);
        } else {
            self.spare = chunk.octets;
        }
    }

    /// Writes what can be written.
    fn write(&mut self, now: SystemTime) {
        while let Some(chunk) = self.unwritten.pop_front() {
            if let Err(error) = self.write_chunk(&chunk, now) {
                self.unwritten.push_front(chunk);
                self.failing = true;
                return self.complain("write", &error);
            }
            self.queue.counters.written.fetch_add(chunk.rows, Relaxed);
            self.queue.counters.octets.fetch_add(chunk.octets.len() as u64, Relaxed);
            self.spare = chunk.octets;
            self.spare.clear();
        }
        if std::mem::take(&mut self.failing) && self.complaint.ends() {
            tracing::info!("{}: written again, with all that waited", self.directory.display());
        }
    }

    fn write_chunk(&mut self, Chunk { octets, first, .. }: &Chunk, now: SystemTime) -> io::Result<()> {
        let size = self.segment_size();
        if self.segment.as_ref().is_some_and(|open| open.is_over(now, octets.len() as u64, size)) {
            self.finish_segment();
            self.keep_limits(now);
        }
        let open = match self.segment.take() {
            Some(open) => open,
            None => self.begin_segment(*first, now)?,
        };
        let open = self.segment.insert(open);
        if open.end == 0 {
            let line = segment::first_line(ROWS);
            open.file.write_all_at(line.as_bytes(), 0)?;
            open.end = line.len() as u64;
        }
        // What a failure leaves here is written over by the next attempt.
        open.file.write_all_at(octets, open.end)?;
        open.end += octets.len() as u64;
        self.dirty = true;
        Ok(())
    }

    fn segment_size(&self) -> u64 {
        SEGMENT_SIZE.min(self.config.size_max / 16)
    }

    /// A new segment, named by its first row, but after all others even where the clock was set back.
    fn begin_segment(&self, first: DecisionId, now: SystemTime) -> io::Result<Open> {
        let last = segment::list(&self.directory, SEGMENTS)?.pop();
        let after = last.map_or(0, |last| last.start.number() + 1);
        let start = DecisionId::of_number(first.number().max(after));
        let path = segment::path(&self.directory, start, SEGMENTS);
        let file = File::options().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Open { start, file, end: 0, hour: hour(now) })
    }

    fn finish_segment(&mut self) {
        self.sync();
        self.segment = None;
    }

    fn sync(&mut self) {
        self.synced = Instant::now();
        if let Some(Err(error)) = self.segment.as_ref().filter(|_| self.dirty).map(|open| open.file.sync_data()) {
            self.complain("sync", &error);
        }
        self.dirty = false;
    }

    /// Does what is due, and at the end everything.
    fn keep_house(&mut self, then: Then) {
        let is_due = |since: Instant, interval: Duration| then == Then::End || since.elapsed() >= interval;
        if is_due(self.synced, SYNC_INTERVAL) {
            self.sync();
        }
        if is_due(self.counted, COUNT_INTERVAL) {
            self.counted = Instant::now();
            if let Err(error) = self.hours.write() {
                self.complain("write the counts", &error);
            }
        }
        if self.looked.elapsed() >= HOUSE_INTERVAL {
            self.looked = Instant::now();
            let now = SystemTime::now();
            if self.segment.as_ref().is_some_and(|open| open.is_over(now, 0, self.segment_size())) {
                self.finish_segment();
            }
            self.keep_limits(now);
            self.tell_losses();
        }
    }

    /// Removes segments that are too old, the oldest while there are too many, and counts of a year ago.
    fn keep_limits(&mut self, now: SystemTime) {
        if let Err(error) = self.remove_segments(now).and_then(|()| self.hours.expire(now)) {
            self.complain("remove what is old", &error);
        }
    }

    fn remove_segments(&self, now: SystemTime) -> io::Result<()> {
        let is_written = |start: DecisionId| self.segment.as_ref().is_some_and(|open| open.start == start);
        let (mut total, mut kept) = (0, Vec::new());
        for segment in segment::list(&self.directory, SEGMENTS)? {
            let metadata = fs::metadata(&segment.path)?;
            let age = now.duration_since(metadata.modified()?).unwrap_or_default();
            if is_written(segment.start) {
                total += metadata.len();
            } else if age > self.config.max_age {
                fs::remove_file(&segment.path)?;
            } else {
                total += metadata.len();
                kept.push((segment.path, metadata.len()));
            }
        }
        // There must be room for the segment that comes next.
        let room = self.config.size_max.saturating_sub(self.segment_size());
        for (path, length) in kept {
            if total <= room {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }

    /// Says, if some were, that rows were dropped.
    fn tell_losses(&mut self) {
        let dropped = self.queue.counters.dropped.load(Relaxed);
        let lost = dropped - self.told;
        if lost > 0 {
            tracing::warn!(lost, "decisions are not in the journal: its disk is too slow, full, or cannot be written");
        }
        self.told = dropped;
    }

    /// Counts a failure, and tells of it unless one was told of a short while ago.
    fn complain(&mut self, what: &str, error: &io::Error) {
        self.queue.counters.failures.fetch_add(1, Relaxed);
        if self.complaint.is_due() {
            let directory = self.directory.display();
            tracing::error!("{directory}: {what}: {error}: mail flows on, and the journal is tried again");
        }
    }
}

impl Open {
    /// Whether so many further octets have no place in it. One without any is never over.
    fn is_over(&self, now: SystemTime, more: u64, size: u64) -> bool {
        self.end > 0 && (hour(now) != self.hour || self.end + more > size)
    }
}

fn hour(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / HOUR)
}
