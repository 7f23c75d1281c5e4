//! kill -9 under load, again and again on the same files: what was acknowledged is there, and the server is back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use store::{Attempt, Store, Terms};
use tempfile::TempDir;

use crate::support::greylister::{Gate, START, attempt, waits};
use crate::support::policy::Connection;
use crate::support::program::journal;
use crate::support::random::Random;
use crate::support::{aloud, wait_for};

const KILLS: usize = 20;
const CONNECTIONS: usize = 3;
/// More than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The store commits every 50 ms, the journal writes every 10; a machine with much to do takes longer.
const WRITTEN: Duration = Duration::from_millis(300);
const CLIENT: &str = "203.0.113.7";
/// More strangers than a server reads from the file before it serves.
const CROWD: u64 = 150_000;

/// What was done to a server until it was killed.
#[derive(Default)]
struct Done {
    /// Strangers who came for the first time, and when they had their answer.
    answered: Vec<(u64, Instant)>,
    /// Strangers who are forgotten for sure.
    forgotten: BTreeSet<u64>,
    /// Those who are meant to be.
    forgetting: BTreeSet<u64>,
    /// Names that are allowed for sure.
    allowed: Vec<String>,
    /// What was answered before this is written: a change was acknowledged that was begun then.
    written: Option<Instant>,
}

impl Done {
    /// The strangers whom a server on these files must know. Those who may be forgotten are not among them.
    fn known(&self, until: Option<Instant>) -> impl Iterator<Item = u64> {
        let known = self.answered.iter().filter(move |(_, at)| until.is_some_and(|until| *at < until));
        known.map(|(number, _)| *number).filter(|number| !self.forgetting.contains(number))
    }
}

fn sender(number: u64) -> String {
    format!("s{number}@one.example")
}

/// Whether this stranger is known, who now comes back in time.
fn is_known(connection: &mut Connection, number: u64) -> bool {
    !waits(connection, 400, CLIENT, &sender(number))
}

/// New strangers until the server is gone.
fn come(gate: &Gate, next: &AtomicU64, done: &Mutex<Done>) {
    let Ok(mut connection) = Connection::open(&gate.server.endpoint()) else { return };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Ok(waits) = attempt(&mut connection, 0, CLIENT, &sender(number)) else { return };
        assert!(waits, "{number} is new");
        done.lock().unwrap().answered.push((number, Instant::now()));
    }
}

/// An administrator's changes until the server is gone.
fn administrate(gate: &Gate, round: usize, done: &Mutex<Done>) {
    for turn in 0.. {
        let begun = Instant::now();
        let name = format!("friend{turn}.r{round}.example");
        if !gate.greylist(&["allow", &name]).status.success() {
            return;
        }
        let last = {
            let mut done = done.lock().unwrap();
            done.allowed.push(name);
            done.written = Some(begun);
            let Some((last, _)) = done.answered.last().copied() else { continue };
            done.forgetting.insert(last);
            last
        };
        if !gate.greylist(&["forget", &sender(last)]).status.success() {
            return;
        }
        done.lock().unwrap().forgotten.insert(last);
    }
}

/// Load until the server is killed, after so many answers; when that was, and a copy of its files from the middle of it.
fn kill_under_load(
    gate: &Gate,
    state: &Path,
    (round, answers): (usize, usize),
    next: &AtomicU64,
) -> (Done, Instant, Copied) {
    let done = Mutex::<Done>::default();
    let (killed, copy) = thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| come(gate, next, &done));
        }
        scope.spawn(|| administrate(gate, round, &done));
        let await_answers = |count| {
            wait_for("answers", PATIENCE, || (done.lock().unwrap().answered.len() >= count).then_some(()));
        };
        await_answers(answers / 2);
        let written = done.lock().unwrap().written;
        let copy = Copied::of(state, written);
        await_answers(answers);
        let killed = Instant::now();
        gate.server.signal(Signal::KILL);
        (killed, copy)
    });
    (done.into_inner().unwrap(), killed, copy)
}

/// Files as they were at some moments, one after the other.
struct Copied {
    state: TempDir,
    /// What was answered before this is in them.
    written: Option<Instant>,
}

impl Copied {
    fn of(state: &Path, written: Option<Instant>) -> Self {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("journal")).unwrap();
        for directory in ["", "journal"] {
            for entry in fs::read_dir(state.join(directory)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    // A file of counts may be replaced meanwhile.
                    let _ = fs::copy(entry.path(), copy.path().join(directory).join(entry.file_name()));
                }
            }
        }
        Self { state: copy, written }
    }

    /// A server answers by the copy. Whether the store's file was one that it could read.
    fn check(&self, done: &Done) -> bool {
        let gate = Gate::start_in(self.state.path());
        let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
        let unknown = done.known(self.written).filter(|number| !is_known(&mut connection, *number)).count();
        assert!(waits(&mut connection, 0, CLIENT, "new@one.example"));
        let (status, log) = gate.server.stop();
        let errors = log.lines().filter(|line| line.contains(" ERROR ")).count();
        let is_damaged = log.contains("portcullis.redb is damaged (");
        assert!(status.success() && errors == usize::from(is_damaged), "{log}");
        assert!(is_damaged || unknown == 0, "{unknown}: {log}");
        assert_eq!(journal(self.state.path()).1, "");
        !is_damaged
    }
}

/// A server on the files of one that was killed: all that was acknowledged is there. The ages, when it was killed, of
/// answers that are not.
fn check(gate: &Gate, done: &Done, killed: Instant) -> Vec<Duration> {
    let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
    let lost = BTreeSet::from_iter(done.known(Some(killed)).filter(|number| !is_known(&mut connection, *number)));
    let was_written = done.known(done.written).find(|number| lost.contains(number));
    assert_eq!(was_written, None, "a change that was acknowledged was written after it: {lost:?}");
    for number in &done.forgotten {
        assert!(!is_known(&mut connection, *number), "{number} was forgotten");
    }
    assert!(!gate.server.log().contains(" ERROR "), "{}", gate.server.log());
    let answered = done.answered.iter().filter(|(number, _)| lost.contains(number));
    answered.map(|(_, at)| killed.saturating_duration_since(*at)).collect()
}

/// A directory in memory, where there is one: no disk of a machine with much to do makes a commit slow.
fn memory_or_disk() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let state = memory_or_disk();
    let (mut random, next) = (Random::new(20), AtomicU64::new(1));
    let (mut slowest, mut oldest) = (Duration::ZERO, Duration::ZERO);
    let (mut answered, mut allowed, mut whole) = (Vec::new(), Vec::new(), 0);
    for round in 0..KILLS {
        let gate = Gate::start_in(state.path());
        let load = (round, 100 + random.below(1_200));
        let (done, killed, copy) = kill_under_load(&gate, state.path(), load, &next);
        drop(gate);

        let begun = Instant::now();
        let gate = Gate::start_in(state.path());
        attempt(&mut Connection::open(&gate.server.endpoint()).unwrap(), 0, CLIENT, "a@one.example").unwrap();
        slowest = slowest.max(begun.elapsed());
        let lost = check(&gate, &done, killed).into_iter().max().unwrap_or_default();
        assert!(lost < WRITTEN, "an answer is lost that was {lost:?} old");
        oldest = oldest.max(lost);
        allowed.extend(done.allowed.iter().cloned());
        let told = gate.told(&["list", "friend"], 0);
        assert!(allowed.iter().all(|name| told.contains(&**name)), "{allowed:?}: {told}");
        let written = done.answered.iter().filter(|(_, at)| *at + WRITTEN < killed);
        answered.extend(written.map(|(number, _)| format!("<{}>", sender(*number))));
        if round.is_multiple_of(4) {
            whole += u32::from(copy.check(&done));
        }
    }
    let (rows, complaint) = journal(state.path());
    // They waited when they came.
    let rows = rows.lines().filter(|row| row.contains("  defer  ")).flat_map(str::split_whitespace);
    let rows = BTreeSet::from_iter(rows);
    let missing = answered.iter().find(|sender| !rows.contains(&***sender));
    assert!(missing.is_none() && complaint.is_empty(), "{missing:?}: {complaint}");
    aloud(&format!(
        "kill -9, {KILLS} times: {} strangers, {} of them long before, {} names allowed; the slowest start until an answer \
         took {slowest:?}, the oldest answer that was lost was {oldest:?} old; of {} copies {whole} could be read whole",
        next.into_inner(),
        answered.len(),
        allowed.len(),
        KILLS / 4
    ));
}

/// Remembers that they came for the first time, as the server would.
fn fill(state: &Path, strangers: u64) {
    let store = Store::open(&store::Config::default(), state).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for number in 0..strangers {
            let attempt = Attempt {
                address: CLIENT.parse().unwrap(),
                client_name: "unknown",
                sender_address: "",
                client: CLIENT,
                network: "203.0.113.0",
                sender: &sender(number),
                recipient: "u@ours.example",
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(START),
                terms: &Terms::POSTGREY,
            };
            while store.greylist(&attempt).await.is_err() {
                // The disk is behind: what waits is written first.
                store.stats().await.unwrap();
            }
        }
        store.close().await;
    });
}

/// Killed while it reads its file, or while it serves: nothing is lost, and whoever asks has an answer.
#[test]
fn a_large_store_is_there_after_a_kill() {
    let state = memory_or_disk();
    fill(state.path(), CROWD);
    for round in 0..3 {
        let begun = Instant::now();
        let gate = Gate::start_in(state.path());
        let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
        attempt(&mut connection, 1, CLIENT, &sender(0)).unwrap();
        let took = begun.elapsed();
        gate.told(&["allow", &format!("friend{round}.example")], 0);
        if round > 0 {
            let read = gate.server.await_line("portcullis.redb: read in ");
            aloud(&format!("{CROWD} strangers: the first answer after {took:?}; {read}"));
            let unknown = (0..CROWD).step_by(97).find(|number| !is_known(&mut connection, *number));
            assert_eq!(unknown, None);
            assert_eq!(gate.told(&["list", "friend"], 0).lines().count(), round + 1);
            assert!(waits(&mut connection, 400, CLIENT, "new@one.example"));
        }
        gate.server.signal(Signal::KILL);
    }
}
