//! The journal where something goes wrong: a kill, a damaged file, a directory that is not to be had.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CONFIG, Gate, ask, command, objects};
use crate::support::peers::{Peer, present};
use crate::support::policy::Connection;
use crate::support::program;

/// The user and group "nobody", on all systems that have one of this name.
const NOBODY: u32 = 65_534;

/// The segments in a state directory.
fn segments(state: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "rows")).collect();
    segments.sort();
    segments
}

#[test]
fn a_kill_costs_what_was_not_written_yet_and_no_more() {
    let state = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for round in 1..=5 {
        let server = program::Server::start_in(CONFIG, Some(state.path()));
        let mut connection = Connection::open(&server.endpoint()).unwrap();
        for number in 0..200 {
            ask(&mut connection, "203.0.113.7", "", &format!("u{round}-{number}@ours.example"));
        }
        kept = objects(state.path(), &["tail", "-n", "10000"], kept + 1).len();
        for number in 0..50 {
            ask(&mut connection, "203.0.113.7", "", &format!("v{round}-{number}@ours.example"));
        }
        // A copy taken at whatever moment can be read.
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("journal")).unwrap();
        for path in segments(state.path()) {
            fs::copy(&path, copy.path().join("journal").join(path.file_name().unwrap())).unwrap();
        }
        assert!(objects(copy.path(), &["tail", "-n", "10000"], kept).len() >= kept);
        drop(server);
        let left = objects(state.path(), &["tail", "-n", "10000"], kept).len();
        assert!(left >= kept && left <= round * 250, "{left} of at least {kept}");
        kept = left;
    }
    assert_eq!(segments(state.path()).len(), 5);
}

#[test]
fn a_damaged_file_stops_nothing_and_is_told() {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("journal")).unwrap();
    fs::write(state.path().join("journal/0000000000001.rows"), "no journal at all").unwrap();
    let gate = Gate::start_in("", state);
    gate.ask("203.0.113.7", "", "u@ours.example");
    gate.objects(&["tail"], 1);
    let complaint = String::from_utf8(command(gate.state.path(), &["tail"]).output().unwrap().stderr).unwrap();
    assert!(complaint.contains("0000000000001.rows: it is damaged: its first line is not ours"), "{complaint}");
    let state = gate.state;
    let (status, log) = gate.server.stop();
    assert!(status.success() && !log.contains("ERROR"), "{log}");
    // Octets turned in the middle of what was written.
    let path = segments(state.path()).pop().unwrap();
    let mut octets = fs::read(&path).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    fs::write(&path, octets).unwrap();
    let output = command(state.path(), &["tail"]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("a part is damaged and passed over"));
}

#[test]
fn mail_goes_on_without_a_journal() {
    for (journal, told) in
        [("", "no journal is kept until the next start"), ("enabled = false\n", "no journal is kept")]
    {
        let config = format!("{CONFIG}[journal]\n{journal}");
        let server = program::Server::start_in(&config, Some("/proc/self/nowhere".as_ref()));
        server.await_line(told);
        let mut connection = Connection::open(&server.endpoint()).unwrap();
        assert!(ask(&mut connection, "203.0.113.7", "", "u@ours.example").starts_with("DEFER_IF_PERMIT"));
    }
    let gate = Gate::start("enabled = false\n");
    gate.ask("203.0.113.7", "", "u@ours.example");
    assert!(!gate.state.path().join("journal").exists());
    // Two at the same place: the second one goes without.
    let first = Gate::start("");
    let second = program::Server::start_in(CONFIG, Some(first.state.path()));
    second.await_line("another process writes this journal: no journal is kept until the next start");
    ask(&mut Connection::open(&second.endpoint()).unwrap(), "203.0.113.9", "", "u@ours.example");
    first.ask("203.0.113.8", "", "u@ours.example");
    assert_eq!(first.objects(&["tail"], 1).len(), 1);
}

#[test]
fn what_cannot_be_written_is_told_and_written_when_it_can() {
    let gate = Gate::start("");
    gate.server.await_line("the journal is in ");
    fs::remove_dir_all(gate.state.path().join("journal")).unwrap();
    assert!(gate.ask("203.0.113.7", "", "u@ours.example").starts_with("DEFER_IF_PERMIT"));
    gate.server.await_line("journal: write: No such file or directory (os error 2): mail flows on");
    assert!(gate.ask("203.0.113.8", "", "u@ours.example").starts_with("DEFER_IF_PERMIT"));
    fs::create_dir(gate.state.path().join("journal")).unwrap();
    let rows = gate.objects(&["tail"], 2);
    assert_eq!((&rows[0]["client"], &rows[1]["client"]), (&"203.0.113.7".into(), &"203.0.113.8".into()));
}

#[test]
fn a_directory_that_may_not_be_read_is_told() {
    if !present("journal::others", &[Peer::Root]) {
        return;
    }
    let gate = Gate::start("");
    gate.ask("203.0.113.7", "", "u@ours.example");
    gate.objects(&["tail"], 1);
    // Where the program was built nobody may be let in.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("portcullis");
    fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
    let mut as_nobody = Command::new(&program);
    as_nobody.uid(NOBODY).gid(NOBODY).args(["journal", "tail"]).env("STATE_DIRECTORY", gate.state.path());
    let output = as_nobody.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("ask as root, as the server's user or from the group of the files"), "{complaint}");
    let nowhere = tempfile::tempdir().unwrap();
    let output = command(nowhere.path(), &["tail"]).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("there is no journal: start `portcullis serve`"), "{complaint}");
}
