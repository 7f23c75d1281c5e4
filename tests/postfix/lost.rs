//! What is lost in the middle: we, or the mail server, while a reply is due; and a mail server that sends without end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use hickory_proto::rr::RecordType::MX;

use super::milter::{GOOD, HELLO, MESSAGE, PATIENCE, connect};
use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::smtp::{Session, talk};
use crate::support::wait_for;
use crate::support::zone::Zone;

const PORT_TEMPFAIL: u16 = 2525;
const PORT_ACCEPT: u16 = 2526;

/// Nobody ever answers what is asked about two domains: one at RCPT, one at the end of the message.
const ZONE: &str = "
10.0.0.1 PTR mail.good.test
mail.good.test A 10.0.0.1
rcpt.test ANY !SILENCE
end.test ANY !SILENCE
";
const LISTS: &str = r#"
hostname = "mx.test"
doors.policy.listen = []
doors.milter.listen = ["inet:127.0.0.1:8893"]
dns.servers = ["127.0.0.1:53"]
[restrictions]
client = []
helo = []
sender = []
relay = []
recipient = ["check_recipient_access inline:{{rcpt.test = reject_unknown_recipient_domain}, {end.test = PREPEND X-Gate: seen}}"]
end_of_data = ["check_recipient_access inline:{{end.test = reject_unknown_recipient_domain}}"]
"#;

fn postfix() -> Postfix {
    let service = |port, action: &str| Service {
        port,
        options: vec![
            ("smtpd_milters".into(), "inet:127.0.0.1:8893".into()),
            ("milter_default_action".into(), action.into()),
        ],
    };
    let services = [service(PORT_TEMPFAIL, "tempfail"), service(PORT_ACCEPT, "accept")];
    Postfix::start(Postfix::directory(), "mydestination = rcpt.test end.test\n", &services)
}

/// Says `line`, and kills `server` when it has asked about `domain` to answer it; returns Postfix's reply.
fn kill_in_mid_reply(mut session: Session, line: &str, domain: &str, server: Server, dns: &FakeDns) -> String {
    let question = (domain.to_owned(), MX);
    thread::scope(|scope| {
        scope.spawn(|| {
            let is_asked = || dns.questions().iter().any(|asked| asked.question == question);
            wait_for(domain, PATIENCE, || is_asked().then_some(()));
            drop(server);
        });
        session.say(line).unwrap().to_string()
    })
}

#[test]
fn a_kill_in_mid_reply_lets_nothing_by_but_where_that_is_wanted() {
    netns::inside(&[Peer::Program("postfix")], || {
        let postfix = postfix();
        for (port, at_rcpt, at_end) in [
            (PORT_TEMPFAIL, "451 4.7.1 Service unavailable - try again later", "451 4.7.1 Service unavailable"),
            (PORT_ACCEPT, "250 2.1.5 Ok", "250 2.0.0 Ok: queued as "),
        ] {
            let dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
            let server = Server::start(LISTS);
            let (mut session, _) = connect(GOOD, port);
            talk(&mut session, HELLO);
            let reply = kill_in_mid_reply(session, "RCPT TO:<user@rcpt.test>", "rcpt.test", server, &dns);
            assert_eq!(reply, at_rcpt);

            let server = Server::start(LISTS);
            let (mut session, _) = connect(GOOD, port);
            talk(&mut session, HELLO);
            talk(&mut session, &[("RCPT TO:<user@end.test>", "250 2.1.5 Ok"), ("DATA", "354")]);
            let reply = kill_in_mid_reply(session, MESSAGE, "end.test", server, &dns);
            assert!(reply.starts_with(at_end), "{reply}");
        }
        // What is refused is not kept.
        postfix.await_line("removed");
        assert_eq!(postfix.log().matches("from=<a@good.test>, size=").count(), 1, "{}", postfix.log());
    });
}

const OFFER: &[u8] = b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\0\0\0";

/// A frame of the milter protocol.
fn frame(letter: u8, fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + fields.len()).unwrap();
    [&length.to_be_bytes(), [letter].as_slice(), fields].concat()
}

/// Says this, and reads a reply of so many octets.
fn ask(stream: &mut TcpStream, said: &[u8], length: usize) -> Vec<u8> {
    stream.write_all(said).unwrap();
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply).unwrap();
    reply
}

const CONTINUE: &[u8] = b"\0\0\0\x01c";

/// The longest header and body chunks, macros of any name, without end: nothing of them is kept.
#[test]
fn a_mail_server_that_sends_without_end_costs_no_memory() {
    const MIB: u64 = 1 << 20;
    let server = Server::start(&LISTS.replace(":8893", ":0"));
    let endpoint = server.endpoint();
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("inet:")).unwrap();
    stream.write_all(OFFER).unwrap();
    let [.., length] = ask(&mut stream, &[], 4)[..] else { panic!("four octets") };
    ask(&mut stream, &[], length.into());
    let (header, body) = ([b"X\0".as_slice(), &[b'x'; 256 * 1024 - 3], b"\0"].concat(), [b'x'; 65_535]);
    let mut send = |round: u32| {
        let macros = format!("C{{name{round}}}\0{}\0", "x".repeat(60_000));
        stream.write_all(&frame(b'D', macros.as_bytes())).unwrap();
        assert_eq!(ask(&mut stream, &frame(b'L', &header), CONTINUE.len()), CONTINUE);
        assert_eq!(ask(&mut stream, &frame(b'B', &body), CONTINUE.len()), CONTINUE);
    };
    (0..10).for_each(&mut send);
    let before = server.resident();
    (10..400).for_each(&mut send);
    let after = server.resident();
    assert!(after < before + 4 * MIB, "{before} and {after} octets resident");
}

/// Half a command, or a reply that nobody takes: one connection ends, and no other notices.
#[test]
fn a_mail_server_that_goes_away_harms_nobody() {
    let server = Server::start(&LISTS.replace(":8893", ":0"));
    let address = server.endpoint().trim_start_matches("inet:").to_owned();
    let client: &[u8] = b"x\x004\0\x19192.0.2.9\0";
    let commands: [(u8, &[u8]); 4] = [(b'C', client), (b'H', b"x\0"), (b'M', b"<>\0"), (b'R', b"<a@b.test>\0")];
    let all = [OFFER, &commands.map(|(letter, fields)| frame(letter, fields)).concat()].concat();
    for length in 0..=all.len() {
        TcpStream::connect(&address).unwrap().write_all(&all[..length]).unwrap();
    }
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(&all).unwrap();
    stream.write_all(&frame(b'Q', b"")).unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    assert!(replies.ends_with(&CONTINUE.repeat(commands.len())), "{}", replies.escape_ascii());
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("ERROR") && log.contains("connections_cut=0"), "{log}");
}
