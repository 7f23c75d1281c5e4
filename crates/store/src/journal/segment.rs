//! The files of the journal, each named by the lowest id of a decision that it may tell of.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use facts::DecisionId;

/// What files of rows begin with, but for the version.
pub(crate) const ROWS: &str = "portcullis journal";
/// What files of counts begin with.
pub(crate) const COUNTS: &str = "portcullis counts";
/// The ending of the names of segments.
pub(crate) const SEGMENTS: &str = ".rows";
/// The ending of the names of files of counts, one for each day.
pub(crate) const DAYS: &str = ".counts";
/// The version of what follows that is written, and the only one that is read.
const VERSION: u32 = 4;
/// No file of ours is longer; whoever made it so has it read this far.
const FILE_MAX: u64 = 64 << 20;

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// No decision in it is older, unless the clock was set back or the decision took long.
    pub start: DecisionId,
    pub path: PathBuf,
}

impl Segment {
    /// Whether nothing was added since then.
    pub(crate) fn was_written_before(&self, since: SystemTime) -> bool {
        fs::metadata(&self.path).and_then(|file| file.modified()).is_ok_and(|written| written < since)
    }
}

/// The files in `directory` whose names end so, the oldest first.
pub(crate) fn list(directory: &Path, ending: &str) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(ending));
        if let Some(start) = name.and_then(|name| name.parse().ok()) {
            segments.push(Segment { start, path });
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The file of this name.
pub(crate) fn path(directory: &Path, start: DecisionId, ending: &str) -> PathBuf {
    directory.join(format!("{start}{ending}"))
}

/// The line at the start of a file of this `kind`.
pub(crate) fn first_line(kind: &str) -> String {
    format!("{kind} {VERSION}\n")
}

/// What follows the first line in a file of this `kind`: nothing in one that is only begun.
pub(crate) fn body<'a>(octets: &'a [u8], kind: &str) -> Result<&'a [u8], &'static str> {
    let line = first_line(kind);
    match octets.strip_prefix(line.as_bytes()) {
        Some(body) => Ok(body),
        None if line.as_bytes().starts_with(octets) => Ok(&[]),
        None if octets.starts_with(kind.as_bytes()) => {
            Err("another version of the program wrote it: that version reads it")
        }
        None => Err("it is damaged: its first line is not ours"),
    }
}

/// The octets of a file from this place on; none if it is gone.
pub(crate) fn load(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(FILE_MAX).read_to_end(&mut octets)
    });
    match read {
        // It has expired while others were read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        Ok(_) => Ok(octets),
    }
}
