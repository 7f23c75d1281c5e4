//! A real Postfix that asks us: `check_policy_service inet:127.0.0.1:10023` in its recipient restrictions, and whole
//! SMTP sessions that end by our word.

use std::net::IpAddr;

use super::milter::ZONE;
use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::smtp::Session;
use crate::support::zone::Zone;

const PORT: u16 = 2525;

const PORTCULLIS: &str = r#"
hostname = "mx.test"
[restrictions]
client = ["reject_unknown_reverse_client_hostname"]
helo = ["reject_invalid_helo_hostname"]
sender = ["reject_unknown_sender_domain"]
recipient = """
    check_recipient_access inline:{{trap@ours.test = REJECT nobody lives here},
        {filter@ours.test = FILTER smtp:[127.0.0.1]:1}, {redirect@ours.test = REDIRECT trap@ours.test},
        {bcc@ours.test = BCC trap@ours.test}, {class@ours.test = listed}},
    $listed
"""
[restrictions.classes]
listed = "reject_rbl_client bl.test"
[dns]
servers = ["127.0.0.1:53"]
"#;

/// Postfix goes on where we permit, or leave it to its later restrictions.
const RESTRICTIONS: &str = "check_policy_service inet:127.0.0.1:10023, \
    check_recipient_access inline:{{closed@ours.test = REJECT mailbox closed}}";

/// What a client says, and what Postfix answers; `ID` stands for a decision id.
struct Dialogue {
    name: &'static str,
    client: &'static str,
    lines: &'static [(&'static str, &'static str)],
}

const DIALOGUES: &[Dialogue] = &[
    Dialogue {
        name: "a listed client is refused",
        client: "10.0.0.66",
        lines: &[
            ("EHLO mail.bad.test", "250"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            (
                "RCPT TO:<user@ours.test>",
                "554 5.7.1 <user@ours.test>: Recipient address rejected: Service unavailable; Client host [10.0.0.66] \
                 blocked using bl.test; ask https://bl.test/; id=ID",
            ),
        ],
    },
    Dialogue {
        name: "a good client is let in",
        client: "10.0.0.1",
        lines: &[
            ("EHLO mail.good.test", "250"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
            ("DATA", "354"),
            ("Subject: hello\r\n\r\nhello\r\n.", "250 2.0.0 Ok: queued as"),
        ],
    },
    Dialogue {
        name: "a client without a name, over IPv6",
        client: "2001:db8::77",
        lines: &[
            ("HELO mail.good.test", "250"),
            ("MAIL FROM:<>", "250 2.1.0 Ok"),
            (
                "RCPT TO:<user@ours.test>",
                "450 4.7.1 <user@ours.test>: Recipient address rejected: Client host rejected: cannot find your \
                 reverse hostname, [2001:db8::77]; id=ID",
            ),
        ],
    },
    Dialogue {
        name: "what the DNS cannot say defers, unless Postfix rejects later",
        client: "10.0.0.1",
        lines: &[
            ("EHLO mail.good.test", "250"),
            ("MAIL FROM:<a@down.test>", "250 2.1.0 Ok"),
            (
                "RCPT TO:<user@ours.test>",
                "450 4.1.2 <user@ours.test>: Recipient address rejected: <a@down.test>: Sender address rejected: \
                 Domain not found; id=ID",
            ),
            ("RCPT TO:<closed@ours.test>", "554 5.7.1 <closed@ours.test>: Recipient address rejected: mailbox closed"),
        ],
    },
    Dialogue {
        name: "each recipient is judged by itself",
        client: "10.0.0.1",
        lines: &[
            ("EHLO mail.good.test", "250"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
            (
                "RCPT TO:<trap@ours.test>",
                "554 5.7.1 <trap@ours.test>: Recipient address rejected: nobody lives here; id=ID",
            ),
            ("RCPT TO:<user@elsewhere.test>", "554 5.7.1 <user@elsewhere.test>: Relay access denied"),
            ("RCPT TO:<other@ours.test>", "250 2.1.5 Ok"),
            ("DATA", "354"),
            ("Subject: to two\r\n\r\nhello\r\n.", "250 2.0.0 Ok: queued as"),
        ],
    },
    Dialogue {
        name: "what rows want done with a message, Postfix does",
        client: "10.0.0.1",
        lines: &[
            ("EHLO mail.good.test", "250"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            ("RCPT TO:<filter@ours.test>", "250 2.1.5 Ok"),
            ("RCPT TO:<redirect@ours.test>", "250 2.1.5 Ok"),
            ("RCPT TO:<bcc@ours.test>", "250 2.1.5 Ok"),
            ("RCPT TO:<class@ours.test>", "250 2.1.5 Ok"),
        ],
    },
    Dialogue {
        name: "a second message on the connection is judged anew",
        client: "10.0.0.1",
        lines: &[
            ("EHLO mail.good.test", "250"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
            ("DATA", "354"),
            ("Subject: the first\r\n\r\nhello\r\n.", "250 2.0.0 Ok: queued as"),
            ("MAIL FROM:<a@nowhere.test>", "250 2.1.0 Ok"),
            (
                "RCPT TO:<user@ours.test>",
                "450 4.1.2 <user@ours.test>: Recipient address rejected: <a@nowhere.test>: Sender address rejected: \
                 Domain not found; id=ID",
            ),
            ("RSET", "250 2.0.0 Ok"),
            ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
            ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
        ],
    },
];

#[test]
fn sessions_end_by_our_word() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let server = Server::start(PORTCULLIS);
        let service =
            Service { port: PORT, options: vec![("smtpd_recipient_restrictions".into(), RESTRICTIONS.into())] };
        let main = "mydestination = ours.test\nsmtpd_relay_restrictions = reject_unauth_destination\n";
        let postfix = Postfix::start(Postfix::directory(), main, &[service]);
        for dialogue in DIALOGUES {
            check(dialogue, &postfix, &server);
        }
        for (user, action) in [
            ("filter", "FILTER smtp:[127.0.0.1]:1"),
            ("redirect", "REDIRECT trap@ours.test"),
            ("bcc", "BCC trap@ours.test"),
        ] {
            postfix.await_line(&format!("<{user}@ours.test>: Recipient address triggers {action}"));
            server.await_line(&format!("action=\"{action}\""));
        }
        postfix.await_line(
            "NOQUEUE: reject: RCPT from mail.bad.test[10.0.0.66]: 554 5.7.1 <user@ours.test>: Recipient address rejected: \
             Service unavailable; Client host [10.0.0.66] blocked using bl.test; ask https://bl.test/; id=",
        );
    });
}

fn check(Dialogue { name, client, lines }: &Dialogue, postfix: &Postfix, server: &Server) {
    let client: IpAddr = client.parse().unwrap();
    let (mut session, _) = Session::connect(client, Postfix::address(client, PORT)).unwrap();
    for (line, expected) in *lines {
        let reply = session.say(line).unwrap();
        let (text, id) = without_id(&reply.to_string());
        assert!(text.starts_with(expected), "{name}: {line}: {text}");
        // A text that we gave is told to the end.
        assert!(reply.code < 400 || text == *expected, "{name}: {line}: {text}");
        if let Some(id) = id {
            let logged = postfix.await_line(&id);
            assert!(logged.contains(": reject: RCPT from ") && logged.contains(&reply.to_string()), "{logged}");
            server.await_line(&id);
        }
    }
}

/// The reply with `ID` in place of the decision id behind it, and the id.
fn without_id(reply: &str) -> (String, Option<String>) {
    match reply.rsplit_once("; id=") {
        Some((text, id)) => (format!("{text}; id=ID"), Some(id.to_owned())),
        None => (reply.to_owned(), None),
    }
}
