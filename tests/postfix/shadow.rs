//! A real Postfix and a server in shadow: what would be refused is taken, but for what strangers want relayed.

use std::net::IpAddr;
use std::time::Duration;

use super::milter::ZONE;
use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::smtp::Session;
use crate::support::wait_for;
use crate::support::zone::Zone;

/// An smtpd that asks by the milter protocol, and one that asks by the policy protocol.
const MILTER: u16 = 2525;
const POLICY: u16 = 2526;
const PATIENCE: Duration = Duration::from_secs(20);

const LISTED: &str = "10.0.0.66";

/// Postfix takes all of 10.0.0.0/8 for its own: what is not relayed, we refuse.
const MAIN: &str = "mydestination = ours.test\nmynetworks = 127.0.0.0/8, 10.0.0.0/8\n";

const PORTCULLIS: &str = r#"
mode = "MODE"
hostname = "mx.test"
domains = ["ours.test"]
[restrictions]
client = ["reject_unknown_reverse_client_hostname"]
helo = ["warn_if_reject reject"]
sender = ["reject_unknown_sender_domain"]
recipient = """
    check_recipient_access inline:{{trap@ours.test = REJECT nobody lives here}, {hold@ours.test = HOLD},
        {discard@ours.test = DISCARD}, {header@ours.test = PREPEND X-Gate: seen},
        {copy@ours.test = BCC copied@ours.test}, {move@ours.test = REDIRECT moved@ours.test}},
    permit_mynetworks
    reject_rbl_client bl.test
    check_greylist
"""
[greylist]
pool_proof = false
[dns]
servers = ["127.0.0.1:53"]
[doors.milter]
listen = ["inet:127.0.0.1:8893"]
verdict_header = true
"#;

const NO_RELAY: &str = "554 5.7.1 <user@elsewhere.test>: Relay access denied; id=";
/// The same behind Postfix's own words.
const NO_RELAY_BY_POLICY: &str = "554 5.7.1 <user@elsewhere.test>: Recipient address rejected: \
     <user@elsewhere.test>: Relay access denied; id=";
/// Header lines of a client's own.
const FORGED: &str = "Subject: hello\r\nX-Portcullis: permit (forged)\r\nx-portcullis: permit (forged)\r\n\
     X-PORTCULLIS : permit\r\n (forged)\r\nX-Portcullis-Other: mine\r\n\r\nX-Portcullis: in the body\r\n.";

fn server(mode: &str) -> Server {
    Server::start(&PORTCULLIS.replace("MODE", mode))
}

fn postfix() -> Postfix {
    // What it keeps itself can be looked at.
    let keep = "check_recipient_access inline:{{keep@ours.test = HOLD}}";
    let policy = format!("{keep}, check_policy_service inet:127.0.0.1:10023, permit_mynetworks, reject");
    let services = [
        (MILTER, vec![("smtpd_milters", "inet:127.0.0.1:8893"), ("smtpd_recipient_restrictions", keep)]),
        (POLICY, vec![("smtpd_recipient_restrictions", &*policy)]),
    ];
    let services = services.map(|(port, options)| {
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Service { port, options }
    });
    Postfix::start(Postfix::directory(), MAIN, &services)
}

/// Says each line; each reply must begin with what is expected.
fn talk(session: &mut Session, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = session.say(line).unwrap().to_string();
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }
}

fn connect(client: &str, port: u16) -> Session {
    let client: IpAddr = client.parse().unwrap();
    let (mut session, _) = Session::connect(client, Postfix::address(client, port)).unwrap();
    talk(&mut session, &[("EHLO mail.good.test", "250")]);
    session
}

/// A message to these users of ours, and its queue id.
fn send(session: &mut Session, users: &[&str], message: &str) -> String {
    talk(session, &[("MAIL FROM:<a@good.test>", "250 2.1.0 Ok")]);
    for user in users {
        talk(session, &[(&format!("RCPT TO:<{user}@ours.test>"), "250 2.1.5 Ok")]);
    }
    talk(session, &[("DATA", "354")]);
    let reply = session.say(message).unwrap().to_string();
    reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap_or_else(|| panic!("{reply}")).to_owned()
}

/// To whom a message was sent.
fn sent(postfix: &Postfix, queue_id: &str) -> String {
    postfix.await_line(&format!("{queue_id}: removed"));
    let log = postfix.log();
    let lines = log.lines().filter_map(|line| line.split_once(&format!(" {queue_id}: to=<"))?.1.split_once('@'));
    let mut users: Vec<&str> = lines.map(|(user, _)| user).collect();
    users.sort_unstable();
    users.join(" ")
}

/// The message that Postfix keeps, as its headers stand, without ids.
fn kept(postfix: &Postfix, queue_id: &str) -> String {
    let line = format!("{queue_id}!");
    wait_for(&format!("{queue_id} in the hold queue"), PATIENCE, || postfix.queue().contains(&line).then_some(()));
    let message = postfix.message(queue_id);
    let mut parts = message.split("; id=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &part[13..])
}

#[test]
fn nothing_is_refused_but_relaying_for_strangers() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (server, postfix) = (server("shadow"), postfix());
        let users = ["user", "trap", "hold", "discard", "header", "copy", "move"];
        for (door, port, denied) in [("milter", MILTER, NO_RELAY), ("policy", POLICY, NO_RELAY_BY_POLICY)] {
            let mut session = connect(LISTED, port);
            let queued = send(&mut session, &users, "Subject: hello\r\n\r\nhello\r\n.");
            assert_eq!(sent(&postfix, &queued), "copy discard header hold move trap user", "{door}");
            talk(
                &mut session,
                &[
                    ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
                    ("RCPT TO:<user@elsewhere.test>", denied),
                    ("RSET", "250"),
                    // What else would be refused first makes no difference.
                    ("MAIL FROM:<a@nowhere.test>", "250 2.1.0 Ok"),
                    ("RCPT TO:<user@elsewhere.test>", denied),
                    ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ],
            );
            // Who comes for the first time need not wait.
            send(&mut connect("10.0.0.1", port), &[door], "Subject: first\r\n\r\nhello\r\n.");
            for (recipient, expected) in [
                ("user@ours.test", "verdict=reject mode=shadow reason=block_listed"),
                ("trap@ours.test", "verdict=reject mode=shadow reason=access_table"),
                ("discard@ours.test", "verdict=discard mode=shadow"),
                (&format!("{door}@ours.test"), "verdict=defer mode=shadow reason=greylisted"),
            ] {
                server.await_line(&format!("to=<{recipient}>"));
                let log = server.log();
                let mut lines = log.lines().filter(|line| line.contains(&format!("to=<{recipient}>")));
                let is_told = |line: &str| line.contains(&format!("door={door} ")) && line.contains(expected);
                assert!(lines.any(is_told), "{door}: {recipient}: {log}");
            }
        }
        let log = postfix.log();
        for unwanted in ["milter-hold", "milter-discard", "milter-reject: END", "triggers"] {
            assert!(!log.contains(unwanted), "{unwanted}: {log}");
        }
    });
}

#[test]
fn a_header_tells_the_verdict_and_forged_ones_go() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let postfix = postfix();
        for (mode, client, users, expected) in [
            (
                "shadow",
                LISTED,
                ["keep", "trap"],
                "X-Portcullis: would reject 554 5.7.1 (block_listed),\n would reject 554 5.7.1 (access_table)\nReceived: ",
            ),
            (
                "enforce",
                "127.0.0.1",
                ["keep", "hold"],
                "X-Portcullis: permit (own_network),\n hold (access_table)\nReceived: ",
            ),
        ] {
            let server = server(mode);
            let queued = send(&mut connect(client, MILTER), &users, FORGED);
            let message = kept(&postfix, &queued);
            assert!(message.contains(expected), "{mode}: {message}");
            assert!(!message.contains("forged"), "{mode}: {message}");
            assert!(message.contains("\nX-Portcullis-Other: mine\n"), "{mode}: {message}");
            assert!(message.contains("\nX-Portcullis: in the body\n"), "{mode}: {message}");
            drop(server);
        }
        // Nobody takes out more than so many: Postfix looks for each from the beginning.
        let _server = server("shadow");
        let mut session = connect(LISTED, MILTER);
        talk(
            &mut session,
            &[
                ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ("DATA", "354"),
                (
                    &format!("{}\r\nhello\r\n.", "X-Portcullis: x\r\n".repeat(101)),
                    "554 5.6.0 Too many X-Portcullis headers",
                ),
            ],
        );
    });
}

#[test]
fn one_restriction_may_be_in_shadow() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let config = PORTCULLIS
            .replace("reject_rbl_client bl.test\n    check_greylist", "warn_if_reject reject_rbl_client bl.test");
        let (server, postfix) = (Server::start(&config.replace("MODE", "enforce")), postfix());
        for (door, port) in [("milter", MILTER), ("policy", POLICY)] {
            let queued = send(&mut connect(LISTED, port), &[door], "Subject: hello\r\n\r\nhello\r\n.");
            assert_eq!(sent(&postfix, &queued), door);
            let line = server.await_line(&format!("to=<{door}@ours.test>"));
            assert!(line.contains(" verdict=permit ") && !line.contains("shadow"), "{line}");
        }
    });
}
