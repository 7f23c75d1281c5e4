//! Shadow from the start to the end: what is decided is learnt, kept and told, and the mail goes on.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::greylister::START;
use crate::support::policy::Connection;
use crate::support::program;

const CONFIG: &str = "mode = \"shadow\"\ndomains = [\"ours.example\"]\n[restrictions]\nclient = []\nhelo = []\nsender = []\n\
    recipient = [\"check_recipient_access inline:{no@ours.example=REJECT}\", \"check_greylist\"]\n\
    [greylist]\npool_proof = false\n[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n";
const ENFORCES: (&str, &str) = ("mode = \"shadow\"", "mode = \"enforce\"");

/// What Postfix is told of mail so many seconds after the start.
fn ask(connection: &mut Connection, recipient: &str, after: u64) -> String {
    let time = (START + after).to_string();
    let attributes = [
        ("protocol_state", "RCPT"),
        ("client_address", "203.0.113.7"),
        ("client_name", "unknown"),
        ("reverse_client_name", "unknown"),
        ("helo_name", "h.example"),
        ("sender", "a@one.example"),
        ("recipient", recipient),
        ("policy_test_time", &time),
    ];
    connection.ask(&attributes).unwrap()
}

/// What `portcullis journal` says.
fn journal(state: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.arg("journal").args(arguments).env("STATE_DIRECTORY", state).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_decided_is_learnt_and_told() {
    let state = tempfile::tempdir().unwrap();
    let server = program::Server::start_in(CONFIG, Some(state.path()));
    server.await_line("in shadow: everything is decided and kept in the journal");
    let mut postfix = Connection::open(&server.endpoint()).unwrap();
    assert_eq!(ask(&mut postfix, "u@ours.example", 0), "DUNNO");
    assert_eq!(ask(&mut postfix, "no@ours.example", 1), "DUNNO");
    let denied = ask(&mut postfix, "u@elsewhere.example", 2);
    assert!(denied.starts_with("554 5.7.1 <u@elsewhere.example>: Relay access denied; id="), "{denied}");
    let line = server.await_line("to=<no@ours.example>");
    assert!(line.contains(" verdict=reject mode=shadow ") && line.contains(" enforced=nothing "), "{line}");

    // The file takes the new mode on, and what was learnt counts.
    let text = fs::read_to_string(server.config()).unwrap();
    fs::write(server.config(), text.replace(ENFORCES.0, ENFORCES.1)).unwrap();
    server.signal(Signal::HUP);
    server.await_line("no longer in shadow");
    server.await_line("reloaded ");
    let passed = ask(&mut postfix, "u@ours.example", 400);
    assert!(passed.starts_with("PREPEND X-Greylist: delayed 400 seconds"), "{passed}");
    assert!(ask(&mut postfix, "new@ours.example", 400).starts_with("DEFER_IF_PERMIT 4.2.0 "));
    assert!(ask(&mut postfix, "no@ours.example", 401).starts_with("554 5.7.1 "));
    let (_, log) = server.stop();
    assert!(log.contains(" permit=1 defer=2 reject=3 hold=0 discard=0 shadow=3 "), "{log}");

    let told = journal(state.path(), &["tail"]);
    let lines: Vec<&str> = told.lines().collect();
    for (line, expected) in lines.iter().zip([
        "  greylisted: check_greylist  (in shadow: went on)",
        "=REJECT}  (in shadow: went on)",
        "  relay_denied: reject_unauth_destination  (in shadow: refused by relay control)",
    ]) {
        assert!(line.ends_with(expected), "{line}");
    }
    assert!(lines.len() == 6 && lines[3..].iter().all(|line| !line.contains("shadow")), "{told}");
    let id = lines[1].split("  ").nth(1).unwrap();
    assert!(journal(state.path(), &["show", id]).contains("nothing of this is carried out: the mail goes on"));
    let row: serde_json::Value = serde_json::from_str(&journal(state.path(), &["show", "--json", id])).unwrap();
    assert_eq!((&row["verdict"], &row["shadow"], row.get("enforced")), (&"reject".into(), &true.into(), None));
    let stats = journal(state.path(), &["stats", "--since", "2023-11-14"]);
    assert!(stats.contains("\nin shadow, by verdict\n         2  reject\n         1  defer\n"), "{stats}");
    let counts = journal(state.path(), &["stats", "--since", "2023-11-14", "--json"]);
    assert_eq!(counts.matches("\"shadow\":true").count(), 3, "{counts}");
}

#[test]
fn what_would_be_done_is_told_beforehand() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("portcullis.toml");
    fs::write(&config, CONFIG.replace("recipient = [", "recipient = [\"defer\", ")).unwrap();
    let path = config.to_str().unwrap();
    let checked = program::run(&["config", "check", "--config", path]);
    let (told, warned) = (String::from_utf8(checked.stdout).unwrap(), String::from_utf8(checked.stderr).unwrap());
    assert!(told.contains(": in shadow, ") && warned.contains("in shadow: everything is decided"), "{told}{warned}");

    let session = ["--client", "203.0.113.7", "--helo", "h.example", "--sender", "a@one.example"];
    for (recipient, list, enforced) in [
        ("u@ours.example", "recipient", None),
        ("u@elsewhere.example", "relay", Some("554 5.7.1 <u@elsewhere.example>: Relay access denied")),
    ] {
        let explained = program::explain(&config, &[&session[..], &["--recipient", recipient]].concat());
        assert_eq!(explained["shadow"], true);
        assert_eq!(explained.get("enforced").and_then(|it| it.as_str()), enforced, "{list}");
        let human = program::run(&[&["explain", "--config", path], &session[..], &["--recipient", recipient]].concat());
        let human = String::from_utf8(human.stdout).unwrap();
        let expected = enforced.map_or("the mail goes on".into(), |reply| format!("all the same: {reply}"));
        assert!(human.contains("in shadow") && human.contains(&expected), "{human}");
    }
}
