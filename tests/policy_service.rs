//! `check_policy_service` and `sleep` through the program, with a second Portcullis and a real postgrey as the service.

use std::fs;

use crate::support::peers::{Peer, present};
use crate::support::policy::Connection;
use crate::support::postgrey::{Postgrey, free_port};
use crate::support::program;

const RCPT: &[(&str, &str)] = &[
    ("protocol_state", "RCPT"),
    ("client_address", "192.0.2.1"),
    ("client_name", "unknown"),
    ("reverse_client_name", "unknown"),
    ("helo_name", "h.example"),
    ("sender", "a@example.net"),
    ("recipient", "c@example.com"),
];

fn config(recipient: &str, postfix: &str) -> String {
    format!(
        "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = '''{recipient}'''\n[postfix]\n{postfix}\n\
         [doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n"
    )
}

#[test]
fn a_second_portcullis_is_asked() {
    let other = program::Server::start(&config("check_sender_access inline:{{example.net=REJECT go away}}", ""));
    let service = other.endpoint();
    let ours = program::Server::start(&config(&format!("check_policy_service {service}"), ""));
    let mut postfix = Connection::open(&ours.endpoint()).unwrap();
    let action = postfix.ask(RCPT).unwrap();
    assert!(action.starts_with("554 5.7.1 ") && action.contains("go away"), "{action}");
    ours.await_line("reason=policy_service");

    // explain leaves it alone.
    let told = program::explain(
        &ours.config(),
        &["--client", "192.0.2.1", "--helo", "h", "--sender", "a@example.net", "--recipient", "c@example.com"],
    );
    assert_eq!(told["verdict"], "permit", "{told}");
    assert!(told.to_string().contains(&format!("{service} was not asked")), "{told}");

    let (_, log) = other.stop();
    assert!(log.contains("requests=1 "), "{log}");
    // Now nobody is there.
    let action = postfix.ask(RCPT).unwrap();
    assert!(action.starts_with("451 4.3.5 ") && action.contains("Server configuration problem"), "{action}");
    ours.await_line(&format!("policy service {service}: "));
    ours.await_line("reason=policy_failure");
}

#[test]
fn nobody_there_and_another_default_action() {
    let postfix = "smtpd_policy_service_try_limit = 1\nsmtpd_policy_service_default_action = \"DUNNO\"";
    let nobody = format!("inet:127.0.0.1:{}", free_port());
    let lists = format!(
        "check_policy_service {nobody}, check_policy_service {{ {nobody}, {{default_action = 450 4.7.1 later}} }}"
    );
    let ours = program::Server::start(&config(&lists, postfix));
    let action = Connection::open(&ours.endpoint()).unwrap().ask(RCPT).unwrap();
    assert!(action.starts_with("450 4.7.1 ") && action.contains("later"), "{action}");
}

#[test]
fn postgrey_defers_whom_it_does_not_know() {
    if !present("policy_service::postgrey", &[Peer::Root, Peer::Program("postgrey")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    let lists = [empty.to_str().unwrap(); 2];
    let postgrey = Postgrey::start(directory.path(), lists, &["--greylist-text=Come back", "--delay=300"]);
    let ours = program::Server::start(&config(&format!("check_policy_service {}", postgrey.endpoint()), ""));
    let mut postfix = Connection::open(&ours.endpoint()).unwrap();
    for _ in 0..2 {
        let action = postfix.ask(RCPT).unwrap();
        assert!(action.starts_with("DEFER_IF_PERMIT ") && action.contains("Come back"), "{action}");
    }
    ours.await_line("reason=policy_service");
}
