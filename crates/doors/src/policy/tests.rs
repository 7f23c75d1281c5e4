//! The policy door over real sockets: what Postfix sends, what strangers could, and how it ends.

use std::sync::Mutex;

use facts::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::*;
use crate::testing;

const FAILURE: &str = "action=DEFER_IF_PERMIT 4.3.0 This mail could not be checked, please try again later\n\n";

pub(crate) struct Service {
    door: Arc<Door>,
    endpoint: Endpoint,
    lines: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    served: JoinHandle<usize>,
}

/// Settings with nothing but this recipient list.
fn settings(recipient: &str) -> Arc<judge::Settings> {
    testing::settings(&format!("recipient = {recipient}"))
}

async fn service(recipient: &str, config: Config) -> Service {
    service_with(recipient, config, false).await
}

async fn service_with(recipient: &str, config: Config, testing: bool) -> Service {
    serve(testing::gate(settings(recipient)), config, testing).await
}

/// The door before this gate.
pub(crate) async fn serve(
    (gate, lines): (Arc<Gate>, Arc<Mutex<Vec<String>>>),
    mut config: Config,
    testing: bool,
) -> Service {
    if config.listen == Config::default().listen {
        config.listen = vec!["inet:127.0.0.1:0".parse().unwrap()];
    }
    let door = Arc::new(Door { gate, config, testing });
    let (listeners, endpoint) = testing::listen(door.config.listen[0].clone()).await;
    let stop = CancellationToken::new();
    let served = tokio::spawn(Arc::clone(&door).serve(listeners, Arc::new(Workers::here()), stop.clone()));
    Service { door, endpoint, lines, stop, served }
}

impl Service {
    pub(crate) async fn connect(&self) -> Client {
        Client(match &self.endpoint {
            Endpoint::Inet { host, port } => Stream::Tcp(TcpStream::connect((host.as_str(), *port)).await.unwrap()),
            Endpoint::Unix(path) => Stream::Unix(UnixStream::connect(path).await.unwrap()),
        })
    }

    fn counters(&self) -> &Counters {
        &self.door.gate.counters.policy
    }
}

pub(crate) struct Client(Stream);

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// One reply, or what came before the connection closed.
    async fn reply(&mut self) -> String {
        let mut reply = Vec::new();
        while !reply.ends_with(b"\n\n") {
            match self.0.read_u8().await {
                Ok(byte) => reply.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(reply).unwrap()
    }

    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        self.reply().await
    }
}

fn request(more: &str) -> Vec<u8> {
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.9\nclient_name=unknown\n\
         helo_name=h.example\nsender=s@b.example\nrecipient=r@example.com\n{more}\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn many_requests_on_a_connection() {
    let directory = tempfile::tempdir().unwrap();
    let unix = Config { listen: vec![Endpoint::Unix(directory.path().join("policy"))], ..Config::default() };
    for config in [Config::default(), unix] {
        let service = service("[]", config).await;
        let mut client = service.connect().await;
        for _ in 0..3 {
            assert_eq!(client.ask(&request("")).await, "action=DUNNO\n\n");
        }
        assert_eq!(service.counters().requests.load(Relaxed), 3);
        assert_eq!(service.door.gate.counters.permit.load(Relaxed), 3);
        assert_eq!(service.lines.lock().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let service = service_with("[]", Config::default(), true).await;
    let mut client = service.connect().await;
    client.send(&[request(""), request("policy_context=test_panic\n"), request("")].concat()).await;
    for expected in ["action=DUNNO\n\n", FAILURE, "action=DUNNO\n\n"] {
        assert_eq!(client.reply().await, expected);
    }
}

#[tokio::test]
async fn in_shadow_postfix_goes_on() {
    let service = service("[]", Config::default()).await;
    let mut client = service.connect().await;
    for (recipient, expected) in [
        ("reject", "action=DUNNO\n\n"),
        ("defer_if_permit", "action=DUNNO\n\n"),
        ("check_sender_access inline:{b.example=DISCARD}", "action=DUNNO\n\n"),
        ("check_sender_access inline:{{b.example=PREPEND X-A: b}}", "action=DUNNO\n\n"),
        ("reject, reject_unauth_destination", "action=554 5.7.1 <r@example.com>: Relay access denied; id="),
    ] {
        let settings = testing::settings_in("shadow", &format!("recipient = \"{recipient}\""));
        service.door.gate.settings.store(settings);
        let reply = client.ask(&request("")).await;
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
    assert_eq!(client.ask(b"no request\n\n").await, FAILURE);
    assert!(service.lines.lock().unwrap().iter().all(|line| line.contains(" mode=shadow ")));
}

#[tokio::test]
async fn a_refusal_carries_its_id() {
    let service = service("[\"reject\"]", Config::default()).await;
    let mut client = service.connect().await;
    let reply = client.ask(&request("")).await;
    let id = reply.trim_end().rsplit_once("; id=").unwrap().1.to_owned();
    assert_eq!(reply, format!("action=554 5.7.1 Access denied; id={id}\n\n"));
    let line = service.lines.lock().unwrap().remove(0);
    assert!(line.starts_with(&format!("decision id={id} door=policy stage=rcpt verdict=reject ")), "{line}");
}

#[tokio::test]
async fn new_settings_reach_open_connections() {
    let service = service("[\"reject\"]", Config::default()).await;
    let mut client = service.connect().await;
    assert!(client.ask(&request("")).await.starts_with("action=554 "));
    service.door.gate.settings.store(settings("[]"));
    assert_eq!(client.ask(&request("")).await, "action=DUNNO\n\n");
}

#[tokio::test]
async fn garbage_is_answered_once_and_the_connection_closed() {
    let service = service("[]", Config::default()).await;
    let long = [b"request=smtpd_access_policy\nhelo_name=".to_vec(), vec![b'x'; 9000]].concat();
    let cases: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
        b"request=smtpd_access_policy\nhelo_name=\0\n\n",
        b"\x16\x03\x01\x02\x00\n\n",
        &long,
    ];
    for garbage in cases {
        let mut client = service.connect().await;
        assert_eq!(client.ask(&[garbage, &request("")].concat()).await, FAILURE);
        assert_eq!(client.reply().await, "");
    }
    assert_eq!(service.counters().malformed.load(Relaxed), 5);
    assert_eq!(service.door.gate.counters.permit.load(Relaxed), 0);
}

#[tokio::test]
async fn without_a_client_address_nothing_is_permitted() {
    let config = Config { permit: Permit::Ok, ..Config::default() };
    let service = service("[\"permit\"]", config).await;
    let mut client = service.connect().await;
    let unknown = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=unknown\n\n";
    assert_eq!(client.ask(unknown).await, FAILURE);
    assert_eq!(service.counters().undecidable.load(Relaxed), 1);
    assert_eq!(client.ask(&request("")).await, "action=OK\n\n");
}

#[tokio::test]
async fn a_panic_is_caught_and_counted() {
    let service = service_with("[]", Config::default(), true).await;
    let mut client = service.connect().await;
    assert_eq!(client.ask(&request("policy_context=test_panic\n")).await, FAILURE);
    assert_eq!(service.counters().panics.load(Relaxed), 1);
    assert_eq!(client.ask(&request("")).await, "action=DUNNO\n\n");
}

#[tokio::test]
async fn only_a_test_may_ask_for_a_panic() {
    let service = service("[]", Config::default()).await;
    let mut client = service.connect().await;
    assert_eq!(client.ask(&request("policy_context=test_panic\n")).await, "action=DUNNO\n\n");
}

#[tokio::test]
async fn an_idle_connection_is_closed_silently() {
    let service = service("[]", Config::default()).await;
    let mut client = service.connect().await;
    assert_eq!(client.ask(&request("")).await, "action=DUNNO\n\n");
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    assert_eq!(client.reply().await, "");
    assert!(before.elapsed() >= service.door.config.idle_timeout);
}

#[tokio::test]
async fn a_stop_answers_what_has_arrived() {
    let service = service("[]", Config::default()).await;
    let (mut asking, mut silent, mut halfway) =
        (service.connect().await, service.connect().await, service.connect().await);
    for client in [&mut asking, &mut silent, &mut halfway] {
        assert_eq!(client.ask(&request("")).await, "action=DUNNO\n\n");
    }
    asking.send(&request("")).await;
    halfway.send(b"request=smtpd_access_policy\n").await;
    service.stop.cancel();
    assert_eq!(asking.reply().await, "action=DUNNO\n\n");
    for client in [&mut asking, &mut silent, &mut halfway] {
        assert_eq!(client.reply().await, "");
    }
    assert_eq!(service.served.await.unwrap(), 0);
}

#[tokio::test]
async fn another_service_is_asked_with_what_we_know() {
    let other = service(r#"["check_helo_access inline:{{h.example=REJECT go away}}"]"#, Config::default()).await;
    let ours = service(&format!("[\"check_policy_service {}\"]", other.endpoint), Config::default()).await;
    let mut client = ours.connect().await;
    for _ in 0..2 {
        let reply = client.ask(&request("")).await;
        assert!(reply.contains("Helo command rejected: go away"), "{reply}");
    }
    let reply = client.ask(&String::from_utf8(request("")).unwrap().replace("h.ex", "i.ex").into_bytes()).await;
    assert_eq!(reply, "action=DUNNO\n\n");
    assert_eq!(other.counters().requests.load(Relaxed), 3);
    assert_eq!(other.counters().connections.accepted.load(Relaxed), 1, "the connection is kept");
    assert!(ours.lines.lock().unwrap()[0].contains("reason=policy_service"), "{:?}", ours.lines);
}

#[tokio::test(start_paused = true)]
async fn who_asks_itself_gets_no_further_than_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::Unix(directory.path().join("policy"));
    let recipient = format!("[\"check_policy_service {endpoint}\"]");
    let connections_max = 4.try_into().unwrap();
    let ours = service(&recipient, Config { listen: vec![endpoint], connections_max, ..Config::default() }).await;
    let start = tokio::time::Instant::now();
    let reply = ours.connect().await.ask(&request("")).await;
    assert!(reply.starts_with("action=451 4.3.5 "), "{reply}");
    assert!(start.elapsed() <= 2 * ours.door.config.deadline, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sleep_ends_with_the_deadline() {
    for (seconds, expected) in [(5, 5), (90, 15)] {
        let service = service(&format!("[\"sleep {seconds}\"]"), Config::default()).await;
        let start = tokio::time::Instant::now();
        assert_eq!(service.connect().await.ask(&request("")).await, "action=DUNNO\n\n");
        assert_eq!(start.elapsed().as_secs(), expected);
    }
}
