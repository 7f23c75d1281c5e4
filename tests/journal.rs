//! The journal: what was decided is found again, by the id that the client was told, whatever became of the server.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::policy::Connection;
use crate::support::{program, wait_for};

mod damage;

const CONFIG: &str = "[restrictions]\nclient = []\nhelo = []\nsender = []\nrelay = []\n\
    recipient = [\"check_recipient_access inline:{no@ours.example=REJECT}\", \"check_greylist\"]\n\
    [greylist]\npool_proof = false\n[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n";
/// More than the journal waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that keeps a journal.
struct Gate {
    server: program::Server,
    state: TempDir,
}

impl Gate {
    fn start(journal: &str) -> Self {
        Self::start_in(journal, tempfile::tempdir().unwrap())
    }

    fn start_in(journal: &str, state: TempDir) -> Self {
        let config = format!("{CONFIG}[journal]\n{journal}");
        let server = program::Server::start_in(&config, Some(state.path()));
        Self { server, state }
    }

    /// Asks about this mail; returns what Postfix is told.
    fn ask(&self, client: &str, sender: &str, recipient: &str) -> String {
        ask(&mut Connection::open(&self.server.endpoint()).unwrap(), client, sender, recipient)
    }

    fn told(&self, arguments: &[&str], status: i32) -> String {
        told(self.state.path(), arguments, status)
    }

    /// The objects that are printed once there are so many.
    fn objects(&self, arguments: &[&str], count: usize) -> Vec<Value> {
        objects(self.state.path(), arguments, count)
    }
}

fn ask(connection: &mut Connection, client: &str, sender: &str, recipient: &str) -> String {
    let attributes = [
        ("protocol_state", "RCPT"),
        ("client_address", client),
        ("client_name", "mail.strangers.example"),
        ("reverse_client_name", "mail.strangers.example"),
        ("helo_name", "helo.strangers.example"),
        ("sender", sender),
        ("recipient", recipient),
    ];
    connection.ask(&attributes).unwrap()
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("journal").args(arguments).env("STATE_DIRECTORY", state).env("TZ", "UTC");
    command
}

/// What `portcullis journal` says where it ends with `status`.
fn told(state: &Path, arguments: &[&str], status: i32) -> String {
    let Output { stdout, stderr, status: ended } = command(state, arguments).output().unwrap();
    let (told, complaint) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(ended.code(), Some(status), "{arguments:?}: {told}{complaint}");
    told
}

fn objects(state: &Path, arguments: &[&str], count: usize) -> Vec<Value> {
    wait_for("rows of the journal", PATIENCE, || {
        let output = command(state, &[arguments, &["--json"]].concat()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let objects: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (objects.len() >= count).then_some(objects)
    })
}

#[test]
fn a_decision_is_found_by_the_id_that_the_client_was_told() {
    let gate = Gate::start("");
    let reply = gate.ask("203.0.113.7", "a@[203.0.113.7]", "no@ours.example");
    let (_, id) = reply.rsplit_once("; id=").unwrap();
    assert_eq!(gate.objects(&["tail"], 1).len(), 1);
    let [row] = &*gate.objects(&["show", id], 1) else { panic!("one row") };
    let expected = [
        ("id", id),
        ("door", "policy"),
        ("verdict", "reject"),
        ("reason", "access_table"),
        ("restriction", "check_recipient_access inline:{no@ours.example=REJECT}"),
        ("client", "203.0.113.7"),
        ("client_name", "mail.strangers.example"),
        ("helo", "helo.strangers.example"),
        ("sender", "a@[203.0.113.7]"),
        ("recipient", "no@ours.example"),
    ];
    for (key, value) in expected {
        assert_eq!(row[key], value, "{key}");
    }
    let evidence = &row["findings"].as_array().unwrap().last().unwrap()["evidence"][0]["table"];
    assert_eq!((&evidence["key"], &evidence["value"]), (&"no@ours.example".into(), &"REJECT".into()));

    let story = gate.told(&["show", &id.to_lowercase()], 0);
    for text in
        [id, "recipient  <no@ours.example>", "✗ check_recipient_access", "✗ reject", "settled by", "policy door"]
    {
        assert!(story.contains(text), "{text}: {story}");
    }
    assert!(!story.contains('\u{1b}'), "no colours in a pipe");
    let output = command(gate.state.path(), &["show", "0000000000001"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("has no decision 0000000000001"));
    told(gate.state.path(), &["show", "nonsense"], 2);
}

#[test]
fn those_that_are_meant_are_found() {
    let gate = Gate::start("");
    gate.ask("203.0.113.7", "", "u@ours.example");
    gate.ask("203.0.113.8", "A@[192.0.2.1]", "no@ours.example");
    gate.ask("2001:db8::7", "b@[192.0.2.1]", "v@ours.example");
    assert_eq!(gate.objects(&["search"], 3).len(), 3);
    for (arguments, expected) in [
        (&["--client", "203.0.113.0/24"][..], 2),
        (&["--client", "203.0.113.7"], 1),
        (&["--client", "2001:db8::/32"], 1),
        (&["--sender", "<>"], 1),
        (&["--sender", "a@["], 1),
        (&["--recipient", "@ours.example"], 3),
        (&["--recipient", "V@ours"], 1),
        (&["--helo", "strangers"], 3),
        (&["--verdict", "reject"], 1),
        (&["--verdict", "reject", "--verdict", "defer"], 3),
        (&["--reason", "greylisted"], 2),
        (&["--restriction", "greylist"], 2),
        (&["--since", "1h"], 3),
        (&["--since", "2100-01-01"], 0),
        (&["--until", "yesterday"], 0),
        (&["--limit", "2"], 2),
        (&["--client", "203.0.113.8", "--reason", "greylisted"], 0),
    ] {
        let found = gate.told(&[&["search", "--json"], arguments].concat(), i32::from(expected == 0));
        assert_eq!(found.lines().count(), expected, "{arguments:?}: {found}");
        let lines = gate.told(&[&["search"], arguments].concat(), i32::from(expected == 0));
        assert_eq!(lines.lines().count(), expected, "{arguments:?}: {lines}");
    }
    for mistake in [["--client", "203.0.113.7/24"], ["--verdict", "no"], ["--reason", "no"], ["--since", "soon"]] {
        told(gate.state.path(), &[&["search"], &mistake[..]].concat(), 2);
    }
}

#[test]
fn those_that_come_are_followed() {
    use std::io::{BufRead, BufReader};
    let gate = Gate::start("");
    gate.ask("203.0.113.1", "", "u@ours.example");
    gate.objects(&["tail"], 1);
    let mut command = command(gate.state.path(), &["tail", "-n", "1", "--follow", "--json"]);
    let mut follower = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["client"].clone();
    assert_eq!(next(), "203.0.113.1");
    for client in ["203.0.113.2", "203.0.113.3"] {
        gate.ask(client, "", "u@ours.example");
        assert_eq!(next(), client);
    }
}

/// Killed and waited for when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn decisions_are_counted() {
    let gate = Gate::start("");
    for number in 0..3 {
        gate.ask("203.0.113.7", "", &format!("u{number}@ours.example"));
    }
    gate.ask("203.0.113.7", "", "no@ours.example");
    let state = gate.state;
    let (status, log) = gate.server.stop();
    assert!(status.success() && !log.contains("WARN"), "{log}");
    let counts = objects(state.path(), &["stats"], 2);
    let of = |reason: &str| {
        counts
            .iter()
            .filter(|count| count["reason"] == reason)
            .map(|count| count["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((of("greylisted"), of("access_table")), (3, 1));
    assert_eq!(counts[0]["list"], Value::Null);
    let table = told(state.path(), &["stats", "--since", "7d"], 0);
    for line in ["total                    0         3         1         0         0", "         3  check_greylist"] {
        assert!(table.lines().any(|told| told == line), "{line}: {table}");
    }
    for json in [&[][..], &["--json"]] {
        let output = command(state.path(), &[&["stats", "--since", "2100-01-01"], json].concat()).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{complaint}");
        assert!(complaint.contains("nothing has been counted in this time"), "{complaint}");
    }
}

#[test]
fn settings_are_told_apart_and_a_reload_leaves_the_journal_as_it_is() {
    let gate = Gate::start("");
    gate.ask("203.0.113.7", "", "u@ours.example");
    gate.objects(&["tail"], 1);
    let config = fs::read_to_string(gate.server.config()).unwrap();
    fs::write(gate.server.config(), format!("{config}max_age = \"1d\"\n")).unwrap();
    gate.server.signal(Signal::HUP);
    gate.server.await_line("what changed in [journal] is taken on by a restart only");
    gate.server.await_line("reloaded");
    gate.ask("203.0.113.7", "", "u@ours.example");
    let rows = gate.objects(&["tail"], 2);
    let settings = |row: &Value| row["settings"].as_str().unwrap().to_owned();
    assert_ne!(settings(&rows[0]), settings(&rows[1]));
    assert_eq!(settings(&rows[0]).len(), 8);
}

#[test]
fn explaining_writes_nothing() {
    let gate = Gate::start("");
    let session = ["--client", "203.0.113.9", "--client-name", "unknown", "--reverse-name", "unknown"];
    let mail = ["--helo", "h.example", "--sender", "a@b.example", "--recipient", "u@ours.example"];
    program::explain(&gate.server.config(), &[&session[..], &mail].concat());
    gate.ask("203.0.113.8", "", "u@ours.example");
    let rows = gate.objects(&["tail"], 1);
    assert_eq!((rows.len(), &rows[0]["client"]), (1, &"203.0.113.8".into()));
}

#[test]
fn a_stranger_writes_nothing_on_the_terminal() {
    let gate = Gate::start("");
    gate.ask("203.0.113.7", "a\u{1b}[2J\u{202e}\u{9b}@[192.0.2.1]", "no@ours.example");
    let id = gate.objects(&["tail"], 1)[0]["id"].as_str().unwrap().to_owned();
    for arguments in [&["tail"][..], &["tail", "--json"], &["show", &id, "--json"], &["show", &id]] {
        let told = gate.told(arguments, 0);
        let is_plain = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic() || "·✓✗~!—µ".contains(c);
        assert!(!told.is_empty() && told.chars().all(is_plain), "{told:?}");
    }
}
