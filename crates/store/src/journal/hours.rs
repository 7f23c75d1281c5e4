//! How many decisions there were in each hour, by verdict, reason, restriction and DNS list: a small file for each day.
//!
//! The file of the day is written anew, beside the old one, which it then replaces: there is always a whole one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facts::{DecisionId, Reason, Verdict, kept};
use rustc_hash::FxHashMap;

use super::block::{self, Blocks, Next};
use super::codec::{Field, In, Out, fields};
use super::segment::{self, COUNTS, DAYS};
use super::{Row, writable};

/// How many different counts an hour has. What else there is counts as [`OTHER`], by verdict and reason.
const COUNTS_MAX: usize = 200;
/// Stands for all restrictions for which there is no room.
const OTHER: &str = "other";
/// How long counts are kept.
const KEPT: Duration = Duration::from_secs(366 * DAY);
const HOUR: u64 = 3_600;
const HOURS: u64 = 24;
const DAY: u64 = HOURS * HOUR;
/// What a file is called until it is whole.
const UNFINISHED: &str = "unfinished";

/// So many decisions of one kind in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// When the hour began.
    pub hour: SystemTime,
    /// The verdict; of decisions in shadow the one that would have counted.
    pub verdict: Verdict,
    /// Whether they were taken in shadow.
    pub shadow: bool,
    /// Why.
    pub reason: Reason,
    /// The restriction that settled it; empty where none did, `other` where there were too many.
    pub restriction: &'static str,
    /// The zone of the DNS list that settled it, if one did; else empty.
    pub list: &'static str,
    /// How many.
    pub count: u64,
}

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// Since 1970.
    hour: u64,
    verdict: Verdict,
    shadow: bool,
    reason: Reason,
    restriction: &'static str,
    list: &'static str,
}

impl Kind {
    /// As what a decision counts, in the hour in which it was begun.
    pub(crate) fn of(row: &Row) -> Self {
        let decision = &row.decision;
        Self {
            hour: decision.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / HOUR),
            verdict: decision.verdict,
            shadow: decision.enforced.is_shadow(),
            reason: decision.reason,
            restriction: decision.restriction.unwrap_or_default(),
            list: row.settling_list().map_or("", kept),
        }
    }
}

/// A record of the file.
struct Counted {
    kind: Kind,
    count: u64,
}

fields! {
    Kind { hour, verdict, shadow, reason, restriction, list }
    Counted { kind, count }
}

/// The counts of one day.
#[derive(Debug)]
pub(crate) struct Hours {
    directory: PathBuf,
    /// Since 1970; none before the first decision.
    day: Option<u64>,
    counts: FxHashMap<Kind, u64>,
    dirty: bool,
}

impl Hours {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), day: None, counts: FxHashMap::default(), dirty: false }
    }

    /// Whether counts have changed since they were written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Counts so many decisions more.
    pub(crate) fn count(&mut self, kind: Kind, more: u64) -> io::Result<()> {
        let turned = self.turn_to(kind.hour / HOURS);
        self.dirty = true;
        if let Some(count) = self.counts.get_mut(&kind) {
            *count += more;
        } else {
            let is_full = self.counts.keys().filter(|known| known.hour == kind.hour).count() >= COUNTS_MAX;
            let kind = if is_full { Kind { restriction: OTHER, list: "", ..kind } } else { kind };
            *self.counts.entry(kind).or_default() += more;
        }
        turned
    }

    /// Takes up the counts of this day; those of another are written.
    fn turn_to(&mut self, day: u64) -> io::Result<()> {
        if self.day == Some(day) {
            return Ok(());
        }
        let written = self.write();
        let path = segment::path(&self.directory, first_id(day), DAYS);
        let known = segment::load(&path, 0).and_then(|octets| read(&octets).map_err(|why| set_aside(&path, why)));
        // What cannot be read is begun anew, and what could not be written is lost.
        self.day = Some(day);
        self.counts = known.iter().flatten().map(|Counted { kind, count }| (*kind, *count)).collect();
        written.and(known.map(drop))
    }

    /// Writes what has changed.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let Some(day) = self.day.filter(|_| self.dirty) else { return Ok(()) };
        let mut octets = segment::first_line(COUNTS).into_bytes();
        let mut out = Out::default();
        for (&kind, &count) in &self.counts {
            out.record(usize::MAX, |out| Counted { kind, count }.write(out));
        }
        block::push(&mut octets, |octets| out.append_to(octets));
        let unfinished = self.directory.join(UNFINISHED);
        let mut file = writable().truncate(true).open(&unfinished)?;
        file.write_all(&octets)?;
        file.sync_data()?;
        fs::rename(unfinished, segment::path(&self.directory, first_id(day), DAYS))?;
        self.dirty = false;
        Ok(())
    }

    /// Removes the counts of a year ago.
    pub(crate) fn expire(&self, now: SystemTime) -> io::Result<()> {
        for file in segment::list(&self.directory, DAYS)? {
            if now.duration_since(file.start.time()).is_ok_and(|age| age > KEPT) {
                fs::remove_file(file.path)?;
            }
        }
        Ok(())
    }
}

/// The counts in the files of days of `directory`, by the hour; and what is wrong with files that cannot be read.
pub(crate) fn counts(directory: &Path, mut complain: impl FnMut(&Path, &str)) -> io::Result<Vec<Count>> {
    let mut counts = Vec::new();
    for file in segment::list(directory, DAYS)? {
        match read(&segment::load(&file.path, 0)?) {
            Ok(counted) => counts.extend(counted.into_iter().filter_map(Counted::told)),
            Err(why) => complain(&file.path, why),
        }
    }
    counts.sort_unstable();
    Ok(counts)
}

impl Counted {
    fn told(self) -> Option<Count> {
        let Self { kind: Kind { hour, verdict, shadow, reason, restriction, list }, count } = self;
        let hour = UNIX_EPOCH.checked_add(Duration::from_secs(hour.checked_mul(HOUR)?))?;
        Some(Count { hour, verdict, shadow, reason, restriction, list, count })
    }
}

/// Renames a file that cannot be read, so that nothing is written over it; what is to be said of it.
fn set_aside(path: &Path, why: &str) -> io::Error {
    let aside = path.with_extension("counts.aside");
    let is_now = match fs::rename(path, &aside) {
        Ok(()) => format!("it is now {}", aside.display()),
        Err(error) => format!("it cannot be renamed: {error}"),
    };
    io::Error::other(format!("{}: {why}: {is_now}", path.display()))
}

fn first_id(day: u64) -> DecisionId {
    DecisionId::new(UNIX_EPOCH + Duration::from_secs(day * DAY), 0)
}

/// What is in a file of a day.
fn read(octets: &[u8]) -> Result<Vec<Counted>, &'static str> {
    const DAMAGED: &str = "it is damaged: its counts are lost";
    let mut all = Vec::new();
    for next in Blocks::of(segment::body(octets, COUNTS)?) {
        let Next::Block(block) = next else { return Err(DAMAGED) };
        let whole = block::records(block, |from| {
            all.push(Counted::read(from)?);
            Some(())
        });
        if !whole {
            return Err(DAMAGED);
        }
    }
    Ok(all)
}
