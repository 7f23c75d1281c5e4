//! A real Postfix that tells us of whole sessions: `smtpd_milters = inet:127.0.0.1:8893`.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::rr::RecordType::{A, MX};
use rustix::process::Signal;

use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::smtp::{Reply, Session, compare, talk};
use crate::support::wait_for;
use crate::support::zone::Zone;

const PORT: u16 = 2525;
/// An smtpd whose milter refuses at each stage.
const PORT_STAGES: u16 = 2526;
/// An smtpd for users, who log in first.
const PORT_SUBMISSION: u16 = 587;
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const GOOD: &str = "10.0.0.1";
pub(super) const LISTED: &str = "10.0.0.66";

const LISTS: &str = r#"
hostname = "mx.test"
[restrictions]
client = [
    "check_client_access inline:{{10.0.0.99 = REJECT go away}, {10.0.0.98 = 421 4.3.2 closing}}",
    "reject_unknown_reverse_client_hostname",
]
helo = ["check_helo_access inline:{{evil.test = REJECT evil greeting}}"]
sender = ["reject_unknown_sender_domain"]
relay = ["reject_unauth_destination"]
recipient = """
    check_recipient_access inline:{{trap@ours.test = REJECT nobody lives here}, {hold@ours.test = HOLD},
        {discard@ours.test = DISCARD}},
    check_recipient_access inline:{{trap@ours.test = REJECT nobody}, {header@ours.test = PREPEND X-Gate: seen},
        {copy@ours.test = BCC copied@ours.test}, {move@ours.test = REDIRECT moved@ours.test}},
    reject_rbl_client bl.test
"""
data = ["reject_multi_recipient_bounce"]
end_of_data = ["check_sender_access inline:{{end@good.test = REJECT at the end}}"]
"#;

pub(super) const ZONE: &str = "
10.0.0.1 PTR mail.good.test
mail.good.test A 10.0.0.1
good.test MX 10 mail.good.test
10.0.0.66 PTR mail.bad.test
mail.bad.test A 10.0.0.66
66.0.0.10.bl.test A 127.0.0.2
66.0.0.10.bl.test TXT ask https://bl.test/
10.0.0.99 PTR mail.good.test
10.0.0.77 PTR laptop.test
laptop.test A 10.0.0.77
down.test ANY !SERVFAIL
";

pub(super) const BLOCKED: &str =
    "554 5.7.1 Service unavailable; Client host [10.0.0.66] blocked using bl.test; ask https://bl.test/; id=ID";
const EVIL: &str = "554 5.7.1 <evil.test>: Helo command rejected: evil greeting; id=ID";
/// What Postfix says of itself where no milter answers (`milter_default_action = tempfail`).
const TEMPFAIL: &str = "451 4.7.1 Service unavailable - try again later";

fn config(port: u16, more: &str) -> String {
    let lists = LISTS.replace("[restrictions]", &format!("domains = [\"ours.test\"]\n[restrictions]\n{more}"));
    format!(
        "{lists}\n[dns]\nservers = [\"127.0.0.1:53\"]\n[doors.policy]\nlisten = []\n\
         [doors.milter]\nlisten = [\"inet:127.0.0.1:{port}\"]\n"
    )
}

fn server() -> Server {
    Server::start(&config(8893, ""))
}

fn postfix() -> Postfix {
    let service = |port, milter: &str| Service { port, options: vec![("smtpd_milters".into(), milter.into())] };
    let main = "mydestination = ours.test\nsmtpd_relay_restrictions =\nsmtpd_recipient_restrictions = \
        check_recipient_access inline:{{closed@ours.test = REJECT mailbox closed}}, reject_unauth_destination\n\
        non_smtpd_milters = inet:127.0.0.1:8893\nsmtpd_authorized_xclient_hosts = 10.0.0.1\n";
    let ports = [(PORT, 8893), (PORT_STAGES, 8894), (PORT_SUBMISSION, 8893)];
    let services = ports.map(|(port, milter)| service(port, &format!("inet:127.0.0.1:{milter}")));
    Postfix::start(Postfix::directory(), main, &services)
}

pub(super) fn connect(client: &str, port: u16) -> (Session, Reply) {
    let client: IpAddr = client.parse().unwrap();
    Session::connect(client, Postfix::address(client, port)).unwrap()
}

/// The queue id in Postfix's answer to the end of a message.
pub(super) fn queue_id(reply: &Reply) -> String {
    let reply = reply.to_string();
    reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap_or_else(|| panic!("{reply}")).to_owned()
}

pub(super) const HELLO: &[(&str, &str)] =
    &[("EHLO mail.good.test", "250"), ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok")];
pub(super) const MESSAGE: &str = "Subject: hello\r\n\r\nhello\r\n.";

/// A message from [`GOOD`] to these recipients, and Postfix's last word.
fn send(recipients: &[&str]) -> Reply {
    let (mut session, _) = connect(GOOD, PORT);
    talk(&mut session, HELLO);
    for recipient in recipients {
        talk(&mut session, &[(&format!("RCPT TO:<{recipient}@ours.test>"), "250 2.1.5 Ok")]);
    }
    talk(&mut session, &[("DATA", "354")]);
    session.say(MESSAGE).unwrap()
}

#[test]
fn each_recipient_is_judged() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (server, postfix) = (server(), postfix());
        let (mut session, _) = connect(LISTED, PORT);
        talk(&mut session, HELLO);
        let reply = session.say("RCPT TO:<user@ours.test>").unwrap();
        compare("a listed client", &reply, BLOCKED);
        let logged = postfix.await_line("milter-reject: RCPT from mail.bad.test[10.0.0.66]: ");
        assert!(logged.contains(&reply.to_string()), "{logged}");
        let (_, id) =
            reply.to_string().rsplit_once("; id=").map(|(text, id)| (text.to_owned(), id.to_owned())).unwrap();
        let decided = server.await_line(&id);
        assert!(decided.contains(" door=milter ") && decided.contains("client=mail.bad.test[10.0.0.66]"), "{decided}");

        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, HELLO);
        for number in 0..20 {
            let (user, expected) = match number {
                3 | 7 => (
                    "trap".to_owned(),
                    "554 5.7.1 <trap@ours.test>: Recipient address rejected: nobody lives here; id=ID",
                ),
                11 => ("closed".to_owned(), "554 5.7.1 <closed@ours.test>: Recipient address rejected: mailbox closed"),
                _ => (format!("user{number}"), "250 2.1.5 Ok"),
            };
            talk(&mut session, &[(&format!("RCPT TO:<{user}@ours.test>"), expected)]);
        }
        talk(&mut session, &[("DATA", "354"), (MESSAGE, "250 2.0.0 Ok: queued as")]);
        assert!(!server.log().contains("closed@ours.test"), "what Postfix refuses is not judged");

        // Nothing of one message counts for the next on the same connection.
        talk(
            &mut session,
            &[
                ("MAIL FROM:<end@good.test>", "250 2.1.0 Ok"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ("DATA", "354"),
                (MESSAGE, "554 5.7.1 <end@good.test>: Sender address rejected: at the end; id=ID"),
                ("MAIL FROM:<a@nowhere.test>", "250 2.1.0 Ok"),
                (
                    "RCPT TO:<user@ours.test>",
                    "450 4.1.8 <a@nowhere.test>: Sender address rejected: Domain not found; id=ID",
                ),
                ("RSET", "250 2.0.0 Ok"),
                // What may pass later must wait: the milter protocol knows no DEFER_IF_PERMIT.
                ("MAIL FROM:<a@down.test>", "250 2.1.0 Ok"),
                (
                    "RCPT TO:<user@ours.test>",
                    "450 4.1.8 <a@down.test>: Sender address rejected: Domain not found; id=ID",
                ),
                (
                    "RCPT TO:<trap@ours.test>",
                    "554 5.7.1 <trap@ours.test>: Recipient address rejected: nobody lives here; id=ID",
                ),
                ("RSET", "250 2.0.0 Ok"),
                ("MAIL FROM:<>", "250 2.1.0 Ok"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ("RCPT TO:<other@ours.test>", "250 2.1.5 Ok"),
                ("DATA", "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; id=ID"),
                ("RSET", "250 2.0.0 Ok"),
                ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ("BDAT 26 LAST\r\nSubject: in pieces\r\n\r\nhi", "250 2.0.0 Ok: "),
            ],
        );

        // Said all at once.
        let (mut session, _) = connect(LISTED, PORT);
        talk(&mut session, &[("EHLO mail.good.test", "250")]);
        let lines = ["MAIL FROM:<a@good.test>", "RCPT TO:<a@ours.test>", "RCPT TO:<b@ours.test>", "RSET", "NOOP"];
        let first = session.say(&lines.join("\r\n")).unwrap();
        compare("the first", &first, "250 2.1.0 Ok");
        for expected in [BLOCKED, BLOCKED, "250 2.0.0 Ok", "250 2.0.0 Ok"] {
            compare("one of several", &session.reply().unwrap(), expected);
        }

        // Whom a proxy speaks for is judged, not the proxy.
        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, &[("EHLO mail.good.test", "250"), ("XCLIENT ADDR=10.0.0.66 NAME=mail.bad.test", "220")]);
        talk(&mut session, HELLO);
        talk(&mut session, &[("RCPT TO:<user@ours.test>", BLOCKED)]);
    });
}

#[test]
fn questions_go_out_before_anybody_is_judged() {
    netns::inside(&[Peer::Program("postfix")], || {
        let dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (_server, _postfix) = (server(), postfix());
        let has_come = |name: &str, record_type| {
            dns.questions().iter().any(|asked| asked.question == (name.to_owned(), record_type))
        };
        let await_question = |name: &str, record_type| {
            wait_for(name, PATIENCE, || has_come(name, record_type).then_some(()));
        };
        let (mut user, _) = connect("10.0.0.77", PORT_SUBMISSION);
        talk(&mut user, &[("EHLO laptop.test", "250")]);
        let (mut session, _) = connect(GOOD, PORT);
        await_question("1.0.0.10.bl.test", A);
        talk(&mut session, &[("EHLO mail.good.test", "250"), ("MAIL FROM:<a@good.test>", "250 2.1.0 Ok")]);
        await_question("good.test", MX);
        assert!(!has_come("77.0.0.10.bl.test", A), "who may still log in is not asked about");
        talk(&mut user, &[("MAIL FROM:<a@good.test>", "250 2.1.0 Ok")]);
        await_question("77.0.0.10.bl.test", A);
    });
}

#[test]
fn messages_are_held_discarded_and_marked() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (server, postfix) = (server(), postfix());
        let held = queue_id(&send(&["user", "hold", "header"]));
        let line = format!("{held}!");
        wait_for(&format!("{held} in the hold queue"), PATIENCE, || postfix.queue().contains(&line).then_some(()));
        let message = postfix.message(&held);
        let [gate, received] = ["\nX-Gate: seen\n", "\nReceived: "].map(|text| message.find(text));
        assert!(gate.is_some() && gate < received, "{message}");

        let discarded = queue_id(&send(&["user", "discard"]));
        let logged = postfix.await_line(&format!("{discarded}: milter-discard: "));
        assert!(logged.contains("END-OF-MESSAGE"), "{logged}");

        for (recipients, expected) in [(["user", "copy"], "copied copy user"), (["move", "user"], "moved")] {
            let queued = queue_id(&send(&recipients));
            postfix.await_line(&format!("{queued}: removed"));
            let log = postfix.log();
            let lines = log.lines().filter_map(|line| line.split_once(&format!(" {queued}: to=<"))?.1.split_once('@'));
            let mut sent: Vec<&str> = lines.map(|(user, _)| user).collect();
            sent.sort_unstable();
            assert_eq!(sent.join(" "), expected);
        }

        // Who gives up in the middle of a message harms nobody.
        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, HELLO);
        talk(&mut session, &[("RCPT TO:<hold@ours.test>", "250 2.1.5 Ok"), ("DATA", "354")]);
        drop(session);
        postfix.await_line("lost connection after DATA");
        let delivered = queue_id(&send(&["user"]));
        postfix.await_line(&format!("{delivered}: removed"));

        // A program on the same host is never refused: its mail would stay in the queue for ever.
        postfix.submit("cron", "To: trap@ours.test\nSubject: cron\n\nhello\n");
        postfix.await_line("to=<trap@ours.test>, relay=");
        assert!(!postfix.log().contains("can't reject recipient"), "{}", postfix.log());
        drop(server);
    });
}

#[test]
fn stages_have_their_own_word_without_delay_reject() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let _server = Server::start(&config(8894, "delay_reject = false\n"));
        let _postfix = postfix();
        for (client, expected) in [
            ("10.0.0.99", "554 mx.test ESMTP not accepting connections"),
            ("10.0.0.98", "421 mx.test Service unavailable - try again later"),
        ] {
            let (_, greeting) = connect(client, PORT_STAGES);
            assert_eq!(greeting.to_string(), expected);
        }
        let (mut session, _) = connect(GOOD, PORT_STAGES);
        // Postfix says it when MAIL comes.
        talk(&mut session, &[("EHLO evil.test", "250"), ("MAIL FROM:<a@good.test>", EVIL)]);
        let (mut session, _) = connect(GOOD, PORT_STAGES);
        talk(
            &mut session,
            &[
                ("EHLO mail.good.test", "250"),
                (
                    "MAIL FROM:<a@nowhere.test>",
                    "450 4.1.8 <a@nowhere.test>: Sender address rejected: Domain not found; id=ID",
                ),
            ],
        );
    });
}

#[test]
fn vrfy_and_etrn_hear_what_was_said_before_them_alone() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (delayed, _staged) = (server(), Server::start(&config(8894, "delay_reject = false\n")));
        let _postfix = postfix();
        let (mut session, _) = connect(LISTED, PORT);
        talk(&mut session, &[("EHLO evil.test", "250"), ("VRFY <trap@ours.test>", "252 2.0.0 <trap@ours.test>")]);
        talk(&mut session, &[("ETRN ours.test", "459 <ours.test>: service unavailable")]);
        let (mut session, _) = connect(LISTED, PORT_STAGES);
        talk(&mut session, &[("EHLO evil.test", "250"), ("VRFY <trap@ours.test>", EVIL), ("ETRN ours.test", EVIL)]);
        let (status, log) = delayed.stop();
        assert!(status.success() && !log.contains("decision"), "{log}");
    });
}

#[test]
fn a_server_that_goes_costs_its_sessions_only() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let (first, postfix) = (server(), postfix());
        // A fault of ours.
        let (mut other, _) = connect(GOOD, PORT);
        talk(&mut other, HELLO);
        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, &[("EHLO test-panic", "250"), ("MAIL FROM:<a@good.test>", TEMPFAIL)]);
        first.await_line("a connection ended by a fault of ours");
        talk(&mut other, &[("RCPT TO:<user@ours.test>", "250 2.1.5 Ok")]);

        // Killed.
        drop(first);
        talk(&mut other, &[("RCPT TO:<user@ours.test>", TEMPFAIL)]);
        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, &[("EHLO mail.good.test", "250"), ("MAIL FROM:<a@good.test>", TEMPFAIL)]);
        postfix.await_line("connect to Milter service inet:127.0.0.1:8893: Connection refused");
        let second = server();
        queue_id(&send(&["user"]));

        // Stopped: the message on its way comes to its end.
        let (mut session, _) = connect(GOOD, PORT);
        talk(&mut session, HELLO);
        second.signal(Signal::TERM);
        second.await_line("stopping");
        talk(
            &mut session,
            &[
                ("RCPT TO:<user@ours.test>", "250 2.1.5 Ok"),
                ("DATA", "354"),
                (MESSAGE, "250 2.0.0 Ok: queued as"),
                ("MAIL FROM:<a@good.test>", TEMPFAIL),
            ],
        );
        second.await_line("connections_cut=0");
    });
}
