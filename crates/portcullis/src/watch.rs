//! Looks whether files have changed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often to look.
pub const PERIOD: Duration = Duration::from_secs(2);

/// The files that are looked at, and what they looked like.
#[derive(Debug, Default)]
pub struct Watch {
    files: HashMap<PathBuf, Seen>,
}

/// What tells one version of a file from another: its time of change, its size and its number. `None`: there is none.
type Version = Option<(SystemTime, u64, u64)>;

#[derive(Debug)]
struct Seen {
    /// What is in use, or was refused.
    known: Version,
    /// What was seen at the last look, if that is something else.
    new: Option<Version>,
}

impl Watch {
    /// A watch over `files`, which were read after `since`. Reads their versions, so it may block.
    #[must_use]
    pub fn over<'a>(files: impl Iterator<Item = &'a Path>, since: SystemTime) -> Self {
        let seen = |file: &Path| {
            // What was changed while it was read is looked at again.
            let known = version(file).filter(|(time, ..)| *time < since);
            (file.to_owned(), Seen { known, new: None })
        };
        Self { files: files.map(seen).collect() }
    }

    /// The files that have changed and are still now: what has changed at two looks in the same way. Each version is
    /// told once. May block.
    pub fn changed(&mut self) -> HashSet<PathBuf> {
        let is_settled = |(file, seen): (&PathBuf, &mut Seen)| {
            let now = version(file);
            if now == seen.known {
                seen.new = None;
                return None;
            }
            if seen.new.replace(now) != Some(now) {
                return None;
            }
            *seen = Seen { known: now, new: None };
            Some(file.clone())
        };
        self.files.iter_mut().filter_map(is_settled).collect()
    }
}

fn version(file: &Path) -> Version {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.size(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_it_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("table");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::over([&*file].into_iter(), SystemTime::now() + Duration::from_secs(1));
        let told = |watch: &mut Watch| watch.changed().contains(&file);
        assert!(!told(&mut watch), "nothing has changed");
        fs::write(&file, "three").unwrap();
        assert!(!told(&mut watch), "it may be half written");
        fs::write(&file, "sixteen").unwrap();
        assert!(!told(&mut watch), "it was half written");
        assert!(told(&mut watch));
        assert!(!told(&mut watch));
        fs::remove_file(&file).unwrap();
        assert!(!told(&mut watch) && told(&mut watch) && !told(&mut watch));
    }

    #[test]
    fn what_changed_while_it_was_read_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut watch = Watch::over([file.path()].into_iter(), SystemTime::UNIX_EPOCH);
        assert!(watch.changed().is_empty());
        assert_eq!(watch.changed().len(), 1);
    }
}
