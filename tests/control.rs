//! The control socket, and `portcullis greylist` through it.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::support::greylister::{Gate, START, greylist, waits};
use crate::support::peers::{Peer, present};
use crate::support::policy::Connection;
use crate::support::program;

/// The user and group "nobody", on all systems that have one of this name.
const NOBODY: u32 = 65_534;

#[test]
fn who_waits_and_who_came_back_is_told() {
    let gate = Gate::start("");
    assert_eq!(gate.told(&["list"], 1), "", "nobody has come yet");
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    assert!(!gate.waits(700, "203.0.113.7", "a@one.example"));
    assert!(gate.waits(60, "198.51.100.9", ""));

    let list = gate.told(&["list"], 0);
    for (start, end) in [
        ("came back, last  2023-11-1", "  203.0.113.0  a@one.example -> u@ours.example"),
        ("waits since      2023-11-1", "  198.51.100.0  <> -> u@ours.example"),
        ("client, last     2023-11-1", "  203.0.113.7  came back once"),
    ] {
        assert!(list.lines().any(|line| line.starts_with(start) && line.ends_with(end)), "{end}: {list}");
    }
    assert_eq!(list.lines().count(), 3, "{list}");

    assert_eq!(gate.told(&["list", "ONE.example"], 0).lines().count(), 1);
    assert_eq!(gate.told(&["list", "two.example"], 1), "");
    let show = gate.told(&["show", "198.51"], 0);
    assert!(
        show.starts_with("198.51.100.0  <> -> u@ours.example\n  waits: ") && show.contains("first try  2023-"),
        "{show}"
    );
    assert!(gate.told(&["show", "203.0.113.7"], 0).contains("client that came back once"));

    let one = json!({
        "kind": "triplet", "network": "203.0.113.0", "sender": "a@one.example", "recipient": "u@ours.example",
        "first": "2023-11-14T22:13:20Z", "last": "2023-11-14T22:25:00Z", "passed": true,
    });
    assert_eq!(gate.objects(&["show", "one.example"], 0), std::slice::from_ref(&one));
    let client = json!({"kind": "client", "address": "203.0.113.7", "count": 1, "last": "2023-11-14T22:25:00Z"});
    let objects = gate.objects(&["list"], 0);
    assert!(objects.len() == 3 && objects.contains(&one) && objects.contains(&client), "{objects:?}");
}

#[test]
fn an_administrator_allows_and_takes_it_back() {
    let gate = Gate::start("");
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    assert_eq!(gate.told(&["allow", "One.example"], 0), "one.example is never greylisted from now on\n");
    assert_eq!(gate.told(&["allow", "one.example"], 0), "one.example was allowed already\n");
    assert!(!gate.waits(1, "203.0.113.7", "a@mail.one.example"));
    assert!(!gate.waits(1, "203.0.113.7", "a@one.example"));
    assert!(gate.waits(1, "203.0.113.8", "a@two.example"));
    assert!(gate.told(&["list", "one"], 0).lines().any(|line| line.starts_with("allowed since    ")));
    let [allowed] = &*gate
        .objects(&["show", "ONE.EXAMPLE"], 0)
        .into_iter()
        .filter(|it| it["kind"] == "allowed")
        .collect::<Vec<_>>()
    else {
        panic!("one name is allowed")
    };
    assert_eq!(allowed["name"], "one.example");
    assert!(gate.told(&["stats"], 0).contains("           1  names are allowed\n"));
    assert_eq!(gate.told(&["allow", "--remove", "one.example"], 0), "one.example is no longer allowed\n");
    assert_eq!(gate.told(&["allow", "--remove", "one.example"], 1), "one.example was not allowed\n");
    assert!(gate.waits(2, "203.0.113.7", "b@one.example"));
    assert_eq!(gate.greylist(&["allow", "a b"]).status.code(), Some(2));
}

#[test]
fn how_long_real_senders_waited_is_told() {
    let gate = Gate::start("");
    for (number, after) in [(1, 400), (2, 500), (3, 4_000)] {
        let sender = format!("a{number}@one.example");
        assert!(gate.waits(0, "203.0.113.7", &sender));
        assert!(!gate.waits(after, "203.0.113.7", &sender));
    }
    assert!(gate.waits(0, "203.0.113.8", "b@one.example"));
    let stats = gate.told(&["stats"], 0);
    for line in [
        "           1  triplets wait",
        "           3  triplets came back",
        "  less than 10m          2   66 %",
        "  less than 2h           1   33 %",
    ] {
        assert!(stats.lines().any(|found| found == line), "{line}: {stats}");
    }
    let [stats] = &*gate.objects(&["stats"], 0) else { panic!("one object") };
    assert_eq!((&stats["triplets_waiting"], &stats["triplets_passed"]), (&1.into(), &3.into()));
    assert_eq!(stats["waits"][0], json!({"below_seconds": 600, "count": 2}));
}

#[test]
fn who_is_forgotten_waits_anew() {
    let gate = Gate::start("");
    for sender in ["a@one.example", "b@one.example"] {
        assert!(gate.waits(0, "203.0.113.7", sender));
        assert!(!gate.waits(400, "203.0.113.7", sender));
    }
    assert_eq!(gate.told(&["forget", "one.example"], 1), "forgot 0 entries of one.example\n", "it is no whole name");
    assert_eq!(gate.told(&["forget", "A@one.example"], 0), "forgot 1 entry of A@one.example\n");
    gate.server.await_line("greylisting forgot 1 entries of \"A@one.example\"");
    assert!(gate.waits(500, "203.0.113.7", "a@one.example"), "it is new again");
    assert!(!gate.waits(500, "203.0.113.7", "b@one.example"));
    assert_eq!(gate.objects(&["forget", "203.0.113.7"], 0), [json!({"forgotten": 1})]);
    assert_eq!(gate.told(&["list", "203.0.113.7"], 1), "", "the client is no longer known");
}

#[test]
fn explain_says_what_greylisting_would_say() {
    let gate = Gate::start("");
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    let check = |after: u64, sender: &str, verdict: &str, evidence: &str| {
        let at = jiff::Timestamp::from_second((START + after) as i64).unwrap().to_string();
        let session = ["--client", "203.0.113.7", "--client-name", "unknown", "--reverse-name", "unknown"];
        let mail = ["--helo", "h.example", "--sender", sender, "--recipient", "u@ours.example", "--at", &at];
        let told = program::explain(&gate.directory.path().join("portcullis.toml"), &[&session[..], &mail].concat());
        assert!(told["verdict"] == verdict && told.to_string().contains(evidence), "{told}");
    };
    for _ in 0..2 {
        check(100, "a@one.example", "defer", "too early: first seen at 2023-11-14T22:13:20Z");
        check(400, "a@one.example", "permit", "came back after 400 s");
        check(400, "b@one.example", "defer", "seen for the first time");
    }
    assert_eq!(gate.told(&["list"], 0).lines().count(), 1, "nothing was remembered");
    fs::remove_file(gate.socket()).unwrap();
    check(100, "a@one.example", "permit", "greylisting was not asked");
}

#[test]
fn many_pages_of_the_longest_names_are_told_whole() {
    let gate = Gate::start("");
    let mut connection = Connection::open(&gate.server.endpoint()).unwrap();
    // Names as long as they are kept, of characters that JSON makes six times longer.
    let tail = "\u{1}".repeat(950);
    for number in 0..1_100 {
        assert!(waits(&mut connection, 0, "203.0.113.7", &format!("s{number}{tail}@one.example")));
    }
    let long = gate.objects(&["list", "\u{1}@one.example"], 0);
    assert_eq!(long.len(), 1_100, "their names were kept");
}

#[test]
fn a_stranger_writes_nothing_on_the_terminal() {
    let gate = Gate::start("");
    assert!(gate.waits(0, "203.0.113.7", "a\u{1b}[2J\u{202e}\u{9b}@one.example"));
    for arguments in [&["list"][..], &["show", "one"], &["list", "--json"], &["forget", "a\u{1b}[2J"]] {
        let told = String::from_utf8(gate.greylist(arguments).stdout).unwrap();
        assert!(!told.is_empty() && told.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{told:?}");
    }
}

#[test]
fn no_server_is_said_with_the_socket_that_was_tried() {
    let directory = tempfile::tempdir().unwrap();
    let (config, socket) = (directory.path().join("portcullis.toml"), directory.path().join("control"));
    fs::write(&config, format!("[control]\nsocket = \"{}\"\n", socket.display())).unwrap();
    let check = |advice: &str| {
        let output = greylist(&config, &["stats"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("{}: {advice}", socket.display())), "{told}");
    };
    check("there is no such socket: start `portcullis serve`");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    check("nobody listens");
    for arguments in [&["forget"][..], &["forget", ""], &["show"]] {
        assert_eq!(greylist(&config, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn others_may_look_but_not_change() {
    if !present("control::others", &[Peer::Root]) {
        return;
    }
    let gate = Gate::start("socket_mode = \"0666\"\n");
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    // Where the program was built nobody may be let in.
    let program = gate.directory.path().join("portcullis");
    fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.uid(NOBODY).gid(NOBODY).arg("greylist").args(arguments);
        command.arg("--config").arg(gate.directory.path().join("portcullis.toml"));
        command.output().unwrap()
    };
    let list = as_nobody(&["list"]);
    assert_eq!(list.status.code(), Some(0), "{list:?}");
    let forget = as_nobody(&["forget", "a@one.example"]);
    let told = String::from_utf8(forget.stderr).unwrap();
    assert!(
        forget.status.code() == Some(2) && told.contains("only root and the user whom the server runs as"),
        "{told}"
    );
    assert_eq!(gate.told(&["list"], 0).lines().count(), 1, "nothing was forgotten");

    fs::set_permissions(gate.socket(), Permissions::from_mode(0o660)).unwrap();
    let told = String::from_utf8(as_nobody(&["list"]).stderr).unwrap();
    assert!(told.contains("no permission: ask as root"), "{told}");
}

#[test]
fn what_is_no_request_is_refused() {
    let gate = Gate::start("");
    assert!(gate.reply(b"{\"request\":\"stats\"}\n").starts_with("{\"ok\":{"));
    assert!(gate.reply(b"hello\n").starts_with("{\"error\":\"the request cannot be understood"));
    assert_eq!(gate.reply(&[b' '; 8_193]), "{\"error\":\"the request is longer than 8192 octets\"}\n");
    let mut silent = UnixStream::connect(gate.socket()).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "who says nothing is let go");
}

#[test]
fn the_socket_goes_with_the_server_and_mail_goes_on_without_it() {
    let gate = Gate::start("socket_mode = \"0600\"\n");
    let mode = fs::metadata(gate.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = fs::read_to_string(gate.server.config()).unwrap();
    fs::write(gate.server.config(), config.replace("0600", "0666")).unwrap();
    gate.server.signal(Signal::HUP);
    gate.server.await_line("what changed in [control] is taken on by a restart only");
    assert!(gate.told(&["stats"], 0).contains("triplets wait"), "a reload leaves it open");
    // Another server wants the same socket, and does not get it.
    let other = program::Server::start(&config);
    other.await_line("no command can reach this server: unix:");
    assert!(gate.told(&["stats"], 0).contains("triplets wait"));
    other.stop();
    let socket = gate.socket();
    assert!(socket.exists(), "it is not the other's to remove");
    let (status, log) = gate.server.stop();
    assert!(status.success() && !socket.exists(), "{log}");
}

#[test]
fn the_socket_lies_in_the_state_directory_unless_named() {
    let server = program::Server::start("[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n");
    let socket = server.config().with_file_name("control");
    server.await_line(&format!("the control socket is unix:{}", socket.display()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["greylist", "stats", "--config"]).arg(server.config());
    command.env("STATE_DIRECTORY", socket.parent().unwrap());
    assert!(command.output().unwrap().status.success());
    let other = tempfile::tempdir().unwrap();
    let told = command.env("RUNTIME_DIRECTORY", other.path()).output().unwrap().stderr;
    assert!(String::from_utf8(told).unwrap().contains(other.path().to_str().unwrap()));
}
