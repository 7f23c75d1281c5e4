//! `portcullis serve` and the commands around it, as an administrator meets them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{program, project};

const REJECTS: &str = "[restrictions]\nclient = [\"reject\"]\nhelo = []\nsender = []\nrecipient = []\n\
    [doors.milter]\nlisten = []\n[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n";
const NO_MILTER: &str = "[doors.milter]\nlisten = []\n";
const REQUEST: &[u8] = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\n\
    client_name=unknown\nreverse_client_name=unknown\nhelo_name=h.example\nsender=\nrecipient=c@example.com\n\n";

/// A connection such as Postfix keeps.
fn connect(endpoint: &str) -> TcpStream {
    TcpStream::connect(endpoint.trim_start_matches("inet:")).unwrap()
}

fn ask(stream: impl Read + Write) -> String {
    ask_for(stream, REQUEST)
}

fn ask_for(mut stream: impl Read + Write, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_broken_reload_is_refused_aloud_and_a_good_one_taken_on() {
    let server = program::Server::start(REJECTS);
    let postfix = connect(&server.endpoint());
    assert!(ask(&postfix).starts_with("action=554 "));

    fs::write(server.config(), "[restrictions]\nclint = []\n").unwrap();
    server.signal(Signal::HUP);
    server.await_line("the reload is refused, and the old configuration stays");
    server.await_line("portcullis.toml:2:1");
    server.await_line("did you mean `client`?");
    assert!(ask(&postfix).starts_with("action=554 "));

    fs::write(server.config(), REJECTS.replace("\"reject\"", "")).unwrap();
    server.signal(Signal::HUP);
    server.await_line("reloaded ");
    assert_eq!(ask(&postfix), "action=DUNNO\n\n", "the connection outlives the reload");
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("requests=3 permit=1 defer=0 reject=2"), "{log}");
}

#[test]
fn a_table_that_changes_is_taken_on_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("helo_access");
    let write = |rows: &str| fs::write(&table, rows).unwrap();
    write("nobody.invalid REJECT\nnobody.invalid OK\n");
    let list = format!("client = []\nhelo = [\"check_helo_access hash:{}\"]\n", table.display());
    let server = program::Server::start(&REJECTS.replace("client = [\"reject\"]\nhelo = []\n", &list));
    let postfix = connect(&server.endpoint());
    assert_eq!(ask(&postfix), "action=DUNNO\n\n");

    // What was wrong already stands in another line now.
    write("h.example REJECT not this one\nnobody.invalid REJECT\nnobody.invalid OK\n");
    server.await_line(&format!("took on hash:{}", table.display()));
    assert!(ask(&postfix).starts_with("action=554 5.7.1 "));

    write("h.example OK\nc.example\nnobody.invalid REJECT\nnobody.invalid OK\n");
    server.await_line(&format!("stays as it was: hash:{}, line 2: \"c.example\" has no value", table.display()));
    assert!(ask(&postfix).starts_with("action=554 5.7.1 "));

    fs::remove_file(&table).unwrap();
    server.await_line(&format!("stays as it was: hash:{}: cannot read", table.display()));
    assert!(ask(&postfix).starts_with("action=554 5.7.1 "));
}

#[test]
fn a_fault_of_ours_costs_one_request() {
    let server = program::Server::start(REJECTS);
    let postfix = connect(&server.endpoint());
    let faulty = String::from_utf8_lossy(REQUEST).replace("helo_name", "policy_context=test_panic\nhelo_name");
    assert!(ask_for(&postfix, faulty.as_bytes()).starts_with("action=DEFER_IF_PERMIT 4.3.0 "));
    assert!(ask(&postfix).starts_with("action=554 "), "the connection outlives the fault");
    server.await_line("a fault of ours, answered with the failure action");
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains(" faults=1 "), "{log}");
}

#[test]
fn a_reload_opens_and_closes_sockets() {
    let server = program::Server::start(REJECTS);
    let (old, socket) = (server.endpoint(), server.config().with_file_name("policy"));
    let unix = format!("unix:{}", socket.display());
    fs::write(server.config(), REJECTS.replace("\"inet:", &format!("\"{unix}\", \"inet:"))).unwrap();
    server.signal(Signal::HUP);
    server.await_line(&format!("listening on {unix}"));
    assert!(ask(connect(&old)).starts_with("action=554 "), "what did not change stays open");
    assert!(ask(UnixStream::connect(&socket).unwrap()).starts_with("action=554 "));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);

    fs::write(server.config(), REJECTS.replace("inet:127.0.0.1:0", &unix)).unwrap();
    let postfix = connect(&old);
    ask(&postfix);
    server.signal(Signal::HUP);
    server.await_line("no longer listening on inet:127.0.0.1:0");
    assert_eq!((&postfix).read(&mut [0]).unwrap(), 0, "who was connected is let go");
    assert!(ask(UnixStream::connect(&socket).unwrap()).starts_with("action=554 "));
}

#[test]
fn a_reload_that_cannot_open_a_socket_changes_nothing() {
    let (server, other) = (program::Server::start(REJECTS), program::Server::start(REJECTS));
    let both =
        format!("client = []\n{NO_MILTER}[doors.policy]\nlisten = [\"inet:127.0.0.1:0\", \"{}\"]\n", other.endpoint());
    fs::write(server.config(), format!("[restrictions]\n{both}")).unwrap();
    server.signal(Signal::HUP);
    server.await_line("the address is in use");
    assert!(ask(connect(&server.endpoint())).starts_with("action=554 "));
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let other = program::Server::start(REJECTS);
    let check = |config: &str, complaint: &str| {
        let path = directory.path().join("portcullis.toml");
        fs::write(&path, config).unwrap();
        let output = program::run(&["serve", "--config", path.to_str().unwrap()]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(complaint), "{told}");
    };
    check(&format!("{NO_MILTER}[doors.policy]\nlisten = [\"{}\"]", other.endpoint()), "the address is in use");
    check(&format!("{NO_MILTER}[doors.policy]\nlisten = []"), "no door is open");
    check("[doors.policy]\nlisten = [\"unix:/nonexistent/policy\"]", "the directory /nonexistent does not exist");
    check("mynetworks = [\"0.0.0.0/0\"]", "the whole world could relay");
}

#[test]
fn what_is_questionable_is_told_at_the_start_and_the_mail_goes_on() {
    let server = program::Server::start(&format!("mynetworks = [\"10.0.0.0/8\", \"192.0.2.1/24\"]\n{REJECTS}"));
    let told = server.await_line(": mynetworks: ");
    let place = format!("{}:1: mynetworks: clients whom no network before", server.config().display());
    assert!(told.contains(&place) && told.ends_with(": did you mean 192.0.2.0/24?"), "{told}");
    assert!(ask(connect(&server.endpoint())).starts_with("action=554 "));
}

#[test]
fn the_log_may_be_json() {
    let server = program::Server::start(&format!("{REJECTS}[log]\nformat = \"json\"\n"));
    let line: serde_json::Value = serde_json::from_str(&server.await_line("listening on ")).unwrap();
    let endpoint = line["message"].as_str().unwrap().split(' ').nth(2).unwrap().to_owned();
    ask(connect(&endpoint));
    let line: serde_json::Value = serde_json::from_str(&server.await_line("\"verdict\"")).unwrap();
    assert_eq!((&line["verdict"], &line["door"]), (&"reject".into(), &"policy".into()));
    let (_, log) = server.stop();
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut configs: Vec<_> = fs::read_dir(project("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    configs.push(project("tests/explain/portcullis.toml"));
    for config in configs {
        let show = |config: &std::path::Path| {
            let output = program::run(&["config", "show", "--config", config.to_str().unwrap()]);
            let shown = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            shown.split_once('\n').unwrap().1.to_owned()
        };
        let shown = show(&config);
        let again = directory.path().join("again.toml");
        fs::write(&again, &shown).unwrap();
        assert_eq!(show(&again), shown, "{}", config.display());
    }
}

#[test]
fn the_examples_are_good() {
    for entry in fs::read_dir(project("examples")).unwrap() {
        let path = entry.unwrap().path();
        let output = program::run(&["config", "check", "--config", path.to_str().unwrap()]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.starts_with(&format!("{}: good, no warnings: ", path.display())), "{told}");
    }
}

#[test]
fn the_complete_example_holds_every_key_with_its_default() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.toml");
    fs::write(&empty, "").unwrap();
    let shown = |config: &std::path::Path| -> toml::Table {
        let output = program::run(&["config", "show", "--config", config.to_str().unwrap()]);
        String::from_utf8(output.stdout).unwrap().parse().unwrap()
    };
    let example = project("examples/portcullis.toml");
    let defaults = shown(&empty);
    assert_eq!(shown(&example), defaults);
    let written: toml::Table = fs::read_to_string(&example).unwrap().parse().unwrap();
    let missing = missing_keys(&defaults, &written);
    // Nothing stands in them by default, so they need not stand in the file.
    assert_eq!(missing, ["lists", "classes"]);
}

fn missing_keys(all: &toml::Table, some: &toml::Table) -> Vec<String> {
    let missing = |(key, value): (&String, &toml::Value)| match (value, some.get(key)) {
        (_, None) => vec![key.clone()],
        (toml::Value::Table(all), Some(toml::Value::Table(some))) => missing_keys(all, some),
        _ => Vec::new(),
    };
    all.iter().flat_map(missing).collect()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_mistake() {
    for arguments in ["config show", "completions bash", "man", "explain --client 127.0.0.1"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.args(arguments.split(' ')).stdout(writer).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{arguments}");
    }
}

#[test]
fn completions_and_manual_pages_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let output = program::run(&["completions", shell]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("dns-zone"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(program::run(&["man", "--dir", directory.path().to_str().unwrap()]).status.success());
    let page = fs::read_to_string(directory.path().join("portcullis-explain.1")).unwrap();
    assert!(page.contains("\\-\\-reverse\\-name"), "{page}");
}

#[test]
fn without_a_command_there_is_help() {
    let output = program::run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("portcullis explain --client"));
}
