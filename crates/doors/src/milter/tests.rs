//! The milter door over real sockets: what mail servers send, what strangers could, and how it ends.

use std::sync::Mutex;

use facts::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::message::{ACTIONS_MAX, RECIPIENTS_MAX};
use super::*;
use crate::testing;

mod shadow;

/// Everything that Postfix offers.
const OFFER: &[u8] = b"\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff";

pub(crate) struct Service {
    door: Arc<Door>,
    address: (String, u16),
    lines: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    served: JoinHandle<usize>,
}

async fn service(lists: &str) -> Service {
    serve(testing::gate(testing::settings(lists)), Config::default()).await
}

/// The door before this gate.
pub(crate) async fn serve((gate, lines): (Arc<Gate>, Arc<Mutex<Vec<String>>>), config: Config) -> Service {
    let door = Arc::new(Door { gate, config, testing: true });
    let (listeners, endpoint) = testing::listen("inet:127.0.0.1:0".parse().unwrap()).await;
    let Endpoint::Inet { host, port } = endpoint else { panic!("no port") };
    let stop = CancellationToken::new();
    let served = tokio::spawn(Arc::clone(&door).serve(listeners, Arc::new(Workers::here()), stop.clone()));
    Service { door, address: (host, port), lines, stop, served }
}

/// A mail server's side of a connection.
pub(crate) struct Server(TcpStream);

impl Service {
    /// A connection on which nothing was said.
    async fn silent(&self) -> Server {
        let (host, port) = &self.address;
        Server(TcpStream::connect((host.as_str(), *port)).await.unwrap())
    }

    /// One on which the terms were agreed on and this client has connected.
    pub(crate) async fn connect(&self, macros: &[u8], client: &[u8]) -> Server {
        let mut server = self.silent().await;
        assert_eq!(server.ask(b'O', OFFER).await.0, 'O');
        server.send(b'D', &[b"C", macros].concat()).await;
        assert_eq!(server.ask(b'C', client).await, go_on());
        server
    }
}

pub(crate) const CLIENT: &[u8] = b"mail.example\x004\x9f\x64192.0.2.9\0";
pub(crate) const MACROS: &[u8] =
    b"v\0Postfix 3.7.11\0{client_name}\0mail.example\0{client_ptr}\0mail.example\0{client_resolve}\0OK\0";

/// What a frame says: its letter, and its fields with NULs as `|`.
fn said(letter: char, fields: &str) -> (char, String) {
    (letter, fields.to_owned())
}

fn go_on() -> (char, String) {
    said('c', "")
}

impl Server {
    pub(crate) async fn send(&mut self, letter: u8, fields: &[u8]) {
        self.0.write_all(&frame(letter, fields)).await.unwrap();
    }

    /// The next frame; `\0` where the connection was closed in its place.
    pub(crate) async fn reply(&mut self) -> (char, String) {
        let Ok(length) = self.0.read_u32().await else { return said('\0', "") };
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        (char::from(frame[0]), String::from_utf8_lossy(&frame[1..]).replace('\0', "|"))
    }

    async fn ask(&mut self, letter: u8, fields: &[u8]) -> (char, String) {
        self.send(letter, fields).await;
        self.reply().await
    }

    async fn greet(&mut self) {
        assert_eq!(self.ask(b'H', b"helo.example\0").await, go_on());
        assert_eq!(self.ask(b'M', b"<s@b.example>\0").await, go_on());
    }

    async fn rcpt(&mut self, user: &str) -> (char, String) {
        self.ask(b'R', format!("<{user}@example.com>\0").as_bytes()).await
    }
}

const FAILURE: &str = "451 4.3.0 This mail could not be checked, please try again later|";

#[tokio::test]
async fn the_mail_server_is_told_what_we_want() {
    for (lists, protocol) in [("", "\0\x10\x0b\x70"), ("data = [\"reject\"]", "\0\x10\x09\x70")] {
        let service = service(lists).await;
        let (letter, fields) = service.silent().await.ask(b'O', OFFER).await;
        let protocol = protocol.replace('\0', "|");
        assert!(letter == 'O' && fields.starts_with(&format!("|||\x06||\x01-|{}", &protocol[1..])), "{fields:?}");
        assert!(fields.contains("{client_resolve}") && fields.contains("{auth_authen}"), "{fields:?}");
    }
}

#[tokio::test]
async fn a_session_from_end_to_end() {
    let lists = "recipient = \"check_recipient_access inline:{{trap@example.com=REJECT no},{hold@example.com=HOLD}, \
                 {mark@example.com=PREPEND X-A: 100%},{gone@example.com=DISCARD}}\"";
    let service = service(lists).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    let (letter, reply) = server.rcpt("trap").await;
    assert!(letter == 'y' && reply.starts_with("554 5.7.1 <trap@example.com>: Recipient address rejected: no; id="));
    for user in ["user", "mark", "hold", "mark"] {
        assert_eq!(server.rcpt(user).await, go_on());
    }
    server.send(b'E', b"").await;
    assert_eq!(server.reply().await, said('i', "||||X-A| 100%|"));
    assert_eq!(server.reply().await, said('i', "|||\x01X-A| 100%|"));
    let (letter, reason) = server.reply().await;
    assert!(letter == 'q' && reason.starts_with("check_recipient_access ") && reason.contains("; id="), "{reason}");
    assert_eq!(server.reply().await, go_on());

    // The next message has none of it.
    server.greet().await;
    assert_eq!(server.rcpt("gone").await, go_on());
    server.send(b'A', b"").await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await, go_on());
    assert_eq!(server.ask(b'E', b"").await, go_on());
    server.greet().await;
    for user in ["hold", "gone", "trap"] {
        assert_eq!(server.rcpt(user).await, go_on());
    }
    assert_eq!(server.ask(b'E', b"").await, said('d', ""));
    server.send(b'Q', b"").await;
    assert_eq!(server.reply().await.0, '\0');
    let line = service.lines.lock().unwrap().remove(0);
    assert!(line.contains(" door=milter ") && line.contains(" client=mail.example[192.0.2.9] helo=<helo.example>"));
}

#[tokio::test]
async fn headers_of_one_message_have_a_limit() {
    let service = service("recipient = \"check_recipient_access inline:{{example.com=PREPEND X: y}}\"").await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    for _ in 0..ACTIONS_MAX + 3 {
        assert_eq!(server.rcpt("user").await, go_on());
    }
    server.send(b'E', b"").await;
    for _ in 0..ACTIONS_MAX {
        assert_eq!(server.reply().await.0, 'i');
    }
    assert_eq!(server.reply().await, go_on());
}

#[tokio::test]
async fn recipients_of_one_message_have_a_limit() {
    let service = service("").await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    for _ in 0..RECIPIENTS_MAX {
        assert_eq!(server.rcpt("user").await, go_on());
    }
    assert_eq!(server.rcpt("user").await, said('y', "452 4.5.3 Error: too many recipients|"));
    assert_eq!(server.ask(b'E', b"").await, go_on());
}

#[tokio::test]
async fn a_message_may_go_elsewhere_and_to_others() {
    let lists = "recipient = \"check_recipient_access inline:{{copy@example.com=BCC c@x.example}, \
                 {other@example.com=REDIRECT d@x.example}}\"";
    let service = service(lists).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    for (users, expected) in [
        (["user", "copy"], [("+", "<\"c\"@x.example>")].as_slice()),
        (
            ["copy", "other"],
            &[("-", "<\"copy\"@example.com>"), ("-", "<\"other\"@example.com>"), ("+", "<\"d\"@x.example>")],
        ),
    ] {
        server.greet().await;
        for user in users {
            assert_eq!(server.rcpt(user).await, go_on());
        }
        server.send(b'E', b"").await;
        for (letter, address) in expected {
            let (said, fields) = server.reply().await;
            assert_eq!((said.to_string(), fields), ((*letter).to_owned(), format!("{address}|")));
        }
        assert_eq!(server.reply().await, go_on());
    }
}

#[tokio::test]
async fn a_program_on_the_same_host_is_not_judged() {
    let service = service("recipient = [\"reject\"]\ndata = [\"reject\"]\nend_of_data = [\"reject\"]").await;
    for client in
        [b"localhost\x004\0\x00127.0.0.1\0".as_slice(), b"localhost\x006\0\0::1\0", b"localhost\0U", b"x\0L\0\0/s\0"]
    {
        let mut server = service.connect(b"", client).await;
        server.greet().await;
        assert_eq!(server.rcpt("user").await, go_on());
        assert_eq!(server.ask(b'T', b"").await, go_on());
        assert_eq!(server.ask(b'E', b"").await, go_on());
    }
    assert_eq!(service.lines.lock().unwrap().len(), 0);
    let mut server = service.connect(b"", b"localhost\x004\x9f\x64127.0.0.1\0").await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await.0, 'y', "by SMTP it is a client as any other");
}

#[tokio::test]
async fn without_a_client_address_nothing_is_permitted() {
    let service = service("").await;
    let mut server = service.connect(MACROS, b"unknown\0U").await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await, said('y', FAILURE));
    assert_eq!(service.door.gate.counters.milter.undecidable.load(Relaxed), 1);
}

#[tokio::test]
async fn what_the_mail_server_refuses_is_not_judged() {
    let service = service("recipient = [\"reject\"]").await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    server.send(b'D', b"R{rcpt_mailer}\0error\0").await;
    assert_eq!(server.rcpt("closed").await, go_on());
    server.send(b'D', b"R{rcpt_mailer}\0local\0").await;
    assert_eq!(server.rcpt("user").await.0, 'y');
}

#[tokio::test]
async fn garbage_closes_the_connection() {
    let service = service("").await;
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\0\0\0\0",
        b"\0\0\0\x01T",
        b"\0\0\0\x01X",
        b"\0\0\0\x0dO\0\0\0\x01\0\0\0\xff\0\0\0\xff",
        b"\0\0\0\x0dO\0\0\0\x06\0\0\0\0\0\0\0\xff",
        b"\0\0\0\x02Hx",
    ] {
        let mut server = service.silent().await;
        server.0.write_all(garbage).await.unwrap();
        assert_eq!(server.reply().await.0, '\0', "{}", garbage.escape_ascii());
    }
    let mut server = service.connect(MACROS, CLIENT).await;
    assert_eq!(server.rcpt("user").await.0, '\0', "a recipient without a sender");
    assert_eq!(service.door.gate.counters.milter.malformed.load(Relaxed), 8);
}

#[tokio::test]
async fn a_panic_costs_one_session() {
    let service = service("").await;
    let mut other = service.connect(MACROS, CLIENT).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    assert_eq!(server.ask(b'H', b"test-panic\0").await.0, '\0');
    other.greet().await;
    assert_eq!(other.rcpt("user").await, go_on());
}

#[tokio::test]
async fn each_stage_has_its_word_without_delay_reject() {
    let service = service(
        "delay_reject = false\nclient = [\"check_client_access inline:{{192.0.2.9=HOLD}}\"]\n\
         helo = [\"check_helo_access inline:{{bad.example=REJECT}}\"]\n\
         sender = [\"check_sender_access inline:{{b.example=DEFER_IF_PERMIT}}\"]",
    )
    .await;
    let mut server = service.connect(MACROS, CLIENT).await;
    assert_eq!(server.ask(b'H', b"bad.example\0").await.0, 'y');
    server.greet().await;
    let (letter, reply) = server.rcpt("user").await;
    assert!(letter == 'y' && reply.starts_with("450 4.7.1 "), "{reply}");
}

#[tokio::test]
async fn a_reload_reaches_open_sessions() {
    let service = service("recipient = [\"reject\"]").await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await.0, 'y');
    service.door.gate.settings.store(testing::settings(""));
    assert_eq!(server.rcpt("user").await, go_on());
}

#[tokio::test]
async fn a_stop_lets_messages_come_to_their_end() {
    let service = service("").await;
    let (mut sending, mut idle) = (service.connect(MACROS, CLIENT).await, service.connect(MACROS, CLIENT).await);
    sending.greet().await;
    idle.greet().await;
    idle.send(b'A', b"").await;
    service.stop.cancel();
    assert_eq!(idle.reply().await.0, '\0', "it has had its message");
    assert_eq!(sending.rcpt("user").await, go_on());
    assert_eq!(sending.ask(b'E', b"").await, go_on());
    assert_eq!(sending.reply().await.0, '\0');
    assert_eq!(service.served.await.unwrap(), 0);
}

#[tokio::test]
async fn postfix_is_told_to_wait_on() {
    let service = service("recipient = [\"sleep 12\"]\nend_of_data = [\"sleep 6\"]").await;
    for (macros, expected) in [(MACROS, "ppc"), (b"v\x008.18.1\0".as_slice(), "c")] {
        let mut server = service.connect(macros, CLIENT).await;
        server.greet().await;
        server.send(b'R', b"<user@example.com>\0").await;
        tokio::time::pause();
        for letter in expected.chars() {
            assert_eq!(server.reply().await, said(letter, ""));
        }
        server.send(b'E', b"").await;
        for letter in ['p', 'c'] {
            assert_eq!(server.reply().await, said(letter, ""), "anybody waits on at the end");
        }
        tokio::time::resume();
    }
}

#[tokio::test]
async fn who_has_logged_in_is_known_for_one_message() {
    let service = service("recipient = [\"permit_sasl_authenticated\", \"reject\"]").await;
    let mut server = service.connect(MACROS, CLIENT).await;
    for (macros, expected) in [(b"M{auth_authen}\0alice\0".as_slice(), 'c'), (b"M", 'y')] {
        server.send(b'D', macros).await;
        server.greet().await;
        assert_eq!(server.rcpt("user").await.0, expected);
    }
    assert!(service.lines.lock().unwrap()[0].contains(" sasl_username=<alice>"));
}

/// A frame of this letter and these fields.
pub(super) fn frame(letter: u8, fields: &[u8]) -> Vec<u8> {
    [&u32::try_from(fields.len() + 1).unwrap().to_be_bytes(), [letter].as_slice(), fields].concat()
}
