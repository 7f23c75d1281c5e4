//! Disks that are full, read-only or broken, and files that are damaged or of a newer version: mail flows on, and the log
//! says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::disk::Disk;
use crate::support::greylister::{Gate, waits};
use crate::support::policy::Connection;
use crate::support::program::journal;
use crate::support::wait_for;

/// More than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 3;
/// Requests of each connection in one round.
const ROUND: u64 = 100;
const NO_SPACE: &str = "No space left on device (os error 28)";
const READ_ONLY: &str = "Read-only file system (os error 30)";

/// Strangers, each of whom comes for the first time, and later all of them again.
#[derive(Default)]
struct Strangers {
    first: u64,
    next: AtomicU64,
}

impl Strangers {
    /// Those from this number on.
    fn from(number: u64) -> Self {
        Self { first: number, next: AtomicU64::new(number) }
    }

    fn sender(number: u64) -> String {
        format!("s{number}@one.example")
    }

    /// Some hundreds come for the first time, on several connections: each is answered, and has to wait.
    fn come(&self, gate: &Gate) {
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
                    for _ in 0..ROUND {
                        let number = self.next.fetch_add(1, Ordering::Relaxed);
                        assert!(waits(&mut connection, 0, "203.0.113.7", &Self::sender(number)), "{number}");
                    }
                });
            }
        });
    }

    /// They come until the log has these texts.
    fn come_until(&self, gate: &Gate, texts: &[String]) {
        wait_for(&format!("{texts:?} in the log"), PATIENCE, || {
            self.come(gate);
            let log = gate.server.log();
            texts.iter().all(|text| log.contains(&**text)).then_some(())
        });
    }

    fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - self.first
    }

    /// All of them come back in time, and are known.
    fn come_back(&self, gate: &Gate) {
        let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
        for number in self.first..self.next.load(Ordering::Relaxed) {
            assert!(!waits(&mut connection, 400, "203.0.113.7", &Self::sender(number)), "{number}");
        }
    }
}

/// The errors of a log.
fn errors(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" ERROR ")).collect()
}

#[test]
fn a_full_disk_stops_nothing_and_writing_goes_on_when_there_is_room() {
    let Some(disk) = Disk::in_memory("disk::full", 64 << 10) else { return };
    let gate = Gate::start_in(&disk.path());
    let strangers = Strangers::default();
    strangers.come(&gate);
    gate.told(&["list"], 0);
    disk.fill();
    let full = ["portcullis.redb: write: ", "journal: write: "].map(|what| what.to_owned() + NO_SPACE);
    strangers.come_until(&gate, &full);
    for _ in 0..3 {
        strangers.come(&gate);
    }
    // What was written is told, and how much was not.
    let [stats] = &*gate.objects(&["stats"], 0) else { panic!("one object") };
    let of = |name: &str| stats[name].as_u64().unwrap();
    assert_eq!(of("triplets_waiting") + of("unwritten"), strangers.count(), "{stats}");
    assert!(of("unwritten") >= 3 * CONNECTIONS as u64 * ROUND, "{stats}");
    assert_eq!(gate.told(&["list"], 0).lines().count() as u64, of("triplets_waiting"));
    let refused = gate.greylist(&["allow", "one.example"]);
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && complaint.contains("the store cannot be written"), "{complaint}");
    disk.free();
    strangers.come_until(&gate, &["portcullis.redb: written again", "journal: written again"].map(str::to_owned));
    assert!(gate.told(&["stats"], 0).contains("triplets wait"));
    let (status, log) = gate.server.stop();
    assert!(status.success(), "{log}");
    // A complaint of each in a minute, for thousands of requests.
    assert!(errors(&log).len() < 8, "{log}");

    let gate = Gate::start_in(&disk.path());
    let (rows, complaint) = journal(&disk.path());
    assert_eq!((rows.lines().count() as u64, &*complaint), (strangers.count(), ""), "no decision is missing");
    strangers.come_back(&gate);
}

#[test]
fn a_file_that_could_not_be_begun_is_begun_at_the_next_start() {
    let Some(disk) = Disk::in_memory("disk::full_at_the_start", 4 << 10) else { return };
    disk.fill();
    for _ in 0..2 {
        let gate = Gate::start_in(&disk.path());
        gate.server
            .await_line(&format!("portcullis.redb: {NO_SPACE}: what greylisting learns is lost at the next stop"));
        let strangers = Strangers::default();
        strangers.come(&gate);
        strangers.come_back(&gate);
        assert!(!gate.server.log().contains("damaged"), "{}", gate.server.log());
        gate.server.await_line(&format!("journal: write: {NO_SPACE}"));
        let (_, log) = gate.server.stop();
        assert!(
            log.contains("decisions are not in the journal: its disk is too slow, full, or cannot be written lost="),
            "{log}"
        );
    }
    disk.free();
    let (status, log) = Gate::start_in(&disk.path()).server.stop();
    assert!(status.success() && errors(&log).is_empty(), "{log}");
}

#[test]
fn a_read_only_directory_stops_nothing() {
    let Some(disk) = Disk::in_memory("disk::read_only", 4 << 10) else { return };
    let fresh = || {
        let gate = Gate::start_in(&disk.path());
        let strangers = Strangers::default();
        strangers.come(&gate);
        (gate, strangers)
    };
    disk.set_read_only(true);
    for is_begun in [false, true] {
        let (gate, strangers) = fresh();
        strangers.come_back(&gate);
        let (status, log) = gate.server.stop();
        let [store, journal] = *errors(&log) else { panic!("two errors: {log}") };
        let told = |what: &str| format!("{}/{what}: {READ_ONLY}: ", disk.path().display());
        assert!(
            store.contains(&(told("portcullis.redb") + "what greylisting learns is lost at the next stop")),
            "{store}"
        );
        assert!(journal.contains(&(told("journal") + "no journal is kept until the next start")), "{journal}");
        assert!(status.success(), "{log}");
        if !is_begun {
            disk.set_read_only(false);
            let (gate, _) = fresh();
            let (_, log) = gate.server.stop();
            assert!(errors(&log).is_empty(), "{log}");
            disk.set_read_only(true);
        }
    }
    // What was kept while it could be written is there again.
    disk.set_read_only(false);
    let gate = Gate::start_in(&disk.path());
    assert!(gate.told(&["stats"], 0).contains("         300  triplets wait\n"));
}

/// A kernel that finds a fault in a file system lets nobody write there any more, whoever has a file open.
#[test]
fn a_disk_that_turns_read_only_stops_nothing() {
    let Some(disk) = Disk::in_file("disk::turns_read_only") else { return };
    let gate = Gate::start_in(&disk.path());
    let kept = Strangers::default();
    kept.come(&gate);
    assert!(gate.told(&["allow", "friend.example"], 0).contains("is never greylisted"));
    disk.break_down();
    let later = Strangers::from(1_000_000);
    later.come_until(&gate, &["portcullis.redb: write: ", "journal: write: "].map(|what| what.to_owned() + READ_ONLY));
    assert!(!waits(&mut Connection::open(&gate.server.endpoint()).unwrap(), 0, "203.0.113.7", "a@friend.example"));
    let refused = gate.greylist(&["allow", "other.example"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let (status, log) = gate.server.stop();
    assert!(status.success() && errors(&log).len() < 8, "{log}");
    for lost in ["changes that waited to be written are lost with this stop lost=", "decisions are not in the journal"]
    {
        assert!(log.contains(lost), "{lost}: {log}");
    }
    disk.mend();
    let gate = Gate::start_in(&disk.path());
    kept.come_back(&gate);
    assert!(gate.told(&["list", "friend"], 0).starts_with("allowed since"));
    assert_eq!(errors(&gate.server.log()), Vec::<&str>::new());
}

/// A state directory in which a server was, and some hundred strangers who came to it.
fn filled() -> (TempDir, Strangers) {
    let state = tempfile::tempdir().unwrap();
    let gate = Gate::start_in(state.path());
    let strangers = Strangers::default();
    strangers.come(&gate);
    let (status, log) = gate.server.stop();
    assert!(status.success() && errors(&log).is_empty(), "{log}");
    (state, strangers)
}

#[test]
fn damaged_files_are_told_and_mail_flows_on() {
    let (state, _) = filled();
    let store = state.path().join("portcullis.redb");
    for path in [&store, &segment(state.path())] {
        let mut octets = fs::read(path).unwrap();
        let len = octets.len();
        octets[len / 4..len / 2].fill(0xa5);
        fs::write(path, octets).unwrap();
    }
    let gate = Gate::start_in(state.path());
    let strangers = Strangers::default();
    strangers.come(&gate);
    strangers.come_back(&gate);
    let line = gate.server.await_line("portcullis.redb is damaged (");
    let (_, aside) = line.split_once("it is now ").unwrap();
    assert!(line.ends_with(", and what it remembered is lost; an empty one is begun"), "{line}");
    assert!(Path::new(aside.split(',').next().unwrap()).exists(), "{line}");
    let (status, _) = gate.server.stop();
    assert!(status.success());
    let (rows, complaint) = journal(state.path());
    assert!((600..900).contains(&rows.lines().count()), "{rows}");
    assert!(complaint.contains(".rows: ") && complaint.contains(" damaged and passed over"), "{complaint}");
}

#[test]
fn files_of_a_newer_version_are_told_and_left_to_it() {
    let (state, first) = filled();
    let (store, rows) = (state.path().join("portcullis.redb"), segment(state.path()));
    let known = set_schema(&store, 1_000);
    let mut octets = fs::read(&rows).unwrap();
    let version = octets.iter().position(|octet| *octet == b'\n').unwrap() - 1;
    octets[version] = b'2';
    fs::write(&rows, &octets).unwrap();

    let gate = Gate::start_in(state.path());
    let strangers = Strangers::default();
    strangers.come(&gate);
    strangers.come_back(&gate);
    let (status, log) = gate.server.stop();
    let told = format!(
        "{}: has schema 1000 of a newer version, this one knows schema {known}: use that version, or move the file away: \
         what greylisting learns is lost at the next stop",
        store.display()
    );
    assert!(status.success() && log.contains(&told), "{log}");
    let (told, complaint) = journal(state.path());
    assert_eq!(told.lines().count(), 600, "its own");
    let expected = format!("{}: another version of the program wrote it: that version reads it", rows.display());
    assert!(complaint.contains(&expected), "{complaint}");

    // The version that knows them finds all as it was.
    set_schema(&store, known);
    assert!(fs::read(&rows).unwrap() == octets);
    first.come_back(&Gate::start_in(state.path()));
}

/// Writes into the file that it has this schema, and returns which it had.
fn set_schema(path: &Path, schema: u64) -> u64 {
    let database = redb::Database::open(path).unwrap();
    let write = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("greylist_meta");
    let mut meta = write.open_table(meta).unwrap();
    let before = meta.insert("schema", schema.to_le_bytes().as_slice()).unwrap().unwrap().value().try_into().unwrap();
    drop(meta);
    write.commit().unwrap();
    u64::from_le_bytes(before)
}

/// The segment of the journal.
fn segment(state: &Path) -> PathBuf {
    let mut files = fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|ending| ending == "rows")).unwrap()
}
