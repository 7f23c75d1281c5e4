//! A fake DNS server inside the test's own process: UDP and TCP, any delay, every question written down.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::gate::{Gate, Question};
use super::zone::{Answer, TTL, Zone, text_of};

/// Answers that wait for their delay to pass.
const DELAYED_MAX: usize = 1 << 16;
/// RFC 1035 §4.2.1: what fits into a datagram where the asker offers no more.
const DATAGRAM_MIN: u16 = 512;

/// How the server behaves; the zone says what it knows.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// How long each answer is held back.
    pub delay: Duration,
    /// Whether questions are written down for [`FakeDns::questions`].
    pub log: bool,
}

/// A question and when it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The name, in lower case, and the type.
    pub question: Question,
    /// When it arrived.
    pub at: Instant,
}

/// A running server; it stops when dropped.
pub struct FakeDns {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    zone: Zone,
    manner: Manner,
    udp: UdpSocket,
    asked: Mutex<Vec<Asked>>,
    count: AtomicU64,
    gate: Mutex<Option<Gate<Parcel>>>,
    gate_moved: Condvar,
    stop: AtomicBool,
}

/// An answer on its way.
struct Parcel {
    bytes: Vec<u8>,
    to: Destination,
}

enum Destination {
    Udp(SocketAddr),
    Tcp(TcpStream),
}

impl FakeDns {
    /// Serves `zone` on `address` (port 0: any free port), and writes every question down.
    pub fn start(address: &str, zone: Zone) -> Self {
        Self::start_with(address, zone, Manner { log: true, ..Manner::default() })
    }

    /// Serves `zone` on `address` in this `manner`.
    pub fn start_with(address: &str, zone: Zone, manner: Manner) -> Self {
        let (udp, tcp) = bind(address).unwrap_or_else(|error| panic!("fake DNS on {address}: {error}"));
        let address = udp.local_addr().unwrap();
        let shared = Arc::new(Shared {
            zone,
            manner,
            udp,
            asked: Mutex::default(),
            count: AtomicU64::new(0),
            gate: Mutex::default(),
            gate_moved: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let (later, delayed) = sync_channel(DELAYED_MAX);
        let (for_udp, for_tcp, for_delay) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        let later_tcp = later.clone();
        let threads = vec![
            thread::spawn(move || for_udp.serve_udp(&later)),
            thread::spawn(move || for_tcp.serve_tcp(&tcp, &later_tcp)),
            thread::spawn(move || for_delay.serve_delayed(&delayed)),
        ];
        Self { address, shared, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every question so far, in order of arrival.
    pub fn questions(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How many questions have come.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// From now on every answer is withheld until all questions of the first wave have come; then these are
    /// answered, and the next wave is awaited.
    pub fn expect_waves(&self, waves: &[&[(&str, RecordType)]]) {
        *self.shared.gate.lock().unwrap() = Some(Gate::new(waves));
    }

    /// Waits until the last wave has been answered. If it takes longer than `at_most`, lets everything through, so
    /// that the asker can end, and says what was missing.
    pub fn await_waves(&self, at_most: Duration) -> Result<(), String> {
        let gate = self.shared.gate.lock().unwrap();
        let open = |gate: &mut Option<Gate<Parcel>>| gate.as_ref().is_some_and(|gate| !gate.is_done());
        let (mut gate, _) = self.shared.gate_moved.wait_timeout_while(gate, at_most, open).unwrap();
        let Some(gate) = gate.take() else { return Ok(()) };
        let verdict = gate.verdict();
        gate.into_withheld().for_each(|parcel| self.shared.send(parcel));
        verdict
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Both threads sit in a system call that only a visitor ends.
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Both protocols on one port. A free UDP port may be taken in TCP, hence the attempts.
fn bind(address: &str) -> io::Result<(UdpSocket, TcpListener)> {
    let attempt = || {
        let udp = UdpSocket::bind(address)?;
        let tcp = TcpListener::bind(udp.local_addr()?)?;
        Ok((udp, tcp))
    };
    attempt().or_else(|_| attempt()).or_else(|_| attempt())
}

impl Shared {
    fn serve_udp(&self, later: &SyncSender<(Instant, Parcel)>) {
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = self.udp.recv_from(&mut buffer) {
                self.receive(&buffer[..length], Destination::Udp(from), later);
            }
        }
    }

    fn serve_tcp(self: &Arc<Self>, listener: &TcpListener, later: &SyncSender<(Instant, Parcel)>) {
        for stream in listener.incoming().flatten() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let (shared, later) = (Arc::clone(self), later.clone());
            // It ends with its client; nobody waits for it.
            thread::spawn(move || shared.serve_stream(stream, &later));
        }
    }

    fn serve_stream(&self, mut stream: TcpStream, later: &SyncSender<(Instant, Parcel)>) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() && !self.stop.load(Ordering::Relaxed) {
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            let (Ok(()), Ok(back)) = (stream.read_exact(&mut query), stream.try_clone()) else { return };
            self.receive(&query, Destination::Tcp(back), later);
        }
    }

    fn serve_delayed(&self, delayed: &Receiver<(Instant, Parcel)>) {
        while !self.stop.load(Ordering::Relaxed) {
            match delayed.recv_timeout(Duration::from_millis(100)) {
                Ok((due, parcel)) => {
                    // This sleep is the delay asked for. The delay is the same for all, so the queue is in order.
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    self.send(parcel);
                }
                Err(_) => continue,
            }
        }
    }

    fn receive(&self, bytes: &[u8], to: Destination, later: &SyncSender<(Instant, Parcel)>) {
        let now = Instant::now();
        let Some((question, answer)) = self.answer(bytes, matches!(to, Destination::Udp(_))) else { return };
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.manner.log {
            self.asked.lock().unwrap().push(Asked { question: question.clone(), at: now });
        }
        let parcel = answer.map(|bytes| Parcel { bytes, to });
        if let Some(gate) = self.gate.lock().unwrap().as_mut() {
            gate.arrive(question, parcel).into_iter().for_each(|parcel| self.send(parcel));
            self.gate_moved.notify_all();
        } else if let Some(parcel) = parcel {
            if self.manner.delay.is_zero() {
                self.send(parcel);
            } else {
                let _ = later.send((now + self.manner.delay, parcel));
            }
        }
    }

    /// The question in `bytes`, and the bytes of its answer unless it gets none.
    fn answer(&self, bytes: &[u8], datagram: bool) -> Option<(Question, Option<Vec<u8>>)> {
        let query = Message::from_vec(bytes).ok()?;
        let asked = query.queries.first()?;
        let question = (text_of(asked.name()), asked.query_type());
        let room = if datagram { query.max_payload().max(DATAGRAM_MIN) } else { u16::MAX };
        let (aliases, owner, answer) = self.zone.answer(asked.name(), question.1);
        let (code, records) = match answer {
            Answer::Silence => return Some((question, None)),
            Answer::Raw(raw) => return Some((question, Some(raw(bytes)))),
            Answer::Code(code) => (code, Vec::new()),
            Answer::Records(records) => (ResponseCode::NoError, records),
        };
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata.response_code = code;
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.add_query(asked.clone());
        response.add_answers(records.into_iter().map(|data| Record::from_rdata(owner.clone(), TTL, data)));
        response.answers.splice(0..0, aliases);
        if response.answers.is_empty() {
            response.add_authority(start_of_authority());
        }
        let mut encoded = response.to_vec().ok()?;
        if encoded.len() > room.into() {
            encoded = response.truncate().to_vec().ok()?;
        }
        Some((question, Some(encoded)))
    }

    /// Sends an answer; an asker that has gone needs none.
    fn send(&self, parcel: Parcel) {
        let _ = match parcel.to {
            Destination::Udp(to) => self.udp.send_to(&parcel.bytes, to).map(drop),
            Destination::Tcp(mut stream) => {
                let length = u16::try_from(parcel.bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
                stream.write_all(&[&length, parcel.bytes.as_slice()].concat())
            }
        };
    }
}

/// RFC 2308 §3: it tells how long a name stays absent.
fn start_of_authority() -> Record {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86400, TTL);
    Record::from_rdata(Name::root(), TTL, RData::SOA(soa))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn over_udp(server: &FakeDns, name: &str, kind: RecordType) -> io::Result<Message> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(&query(name, kind), server.address())?;
        let mut buffer = [0; 1024];
        let (length, _) = socket.recv_from(&mut buffer)?;
        Message::from_vec(&buffer[..length]).map_err(io::Error::other)
    }

    fn over_tcp(server: &FakeDns, name: &str, kind: RecordType) -> Message {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let query = query(name, kind);
        stream.write_all(&(query.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&query).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        Message::from_vec(&answer).unwrap()
    }

    #[test]
    fn both_protocols_failures_and_the_log() {
        let mut zone = Zone::parse(
            "Good.test A 192.0.2.1
             refused.test ANY !REFUSED
             silent.test ANY !SILENCE",
        );
        (0..60).for_each(|n| zone.line(&format!("many.test TXT {n} {}", "x".repeat(200))));
        zone.raw("odd.test", RecordType::A, |query| [&query[..2], &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
        let server = FakeDns::start("127.0.0.1:0", zone);

        let answer = over_udp(&server, "good.TEST.", RecordType::A).unwrap();
        assert_eq!(answer.answers[0].data.to_string(), "192.0.2.1");
        let answer = over_udp(&server, "nx.test.", RecordType::A).unwrap();
        assert_eq!((answer.metadata.response_code, answer.authorities.len()), (ResponseCode::NXDomain, 1));
        let answer = over_udp(&server, "refused.test.", RecordType::MX).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
        assert!(over_udp(&server, "many.test.", RecordType::TXT).unwrap().metadata.truncation);
        assert_eq!(over_tcp(&server, "many.test.", RecordType::TXT).answers.len(), 60);
        assert!(over_udp(&server, "odd.test.", RecordType::A).unwrap().queries.is_empty());
        assert!(over_udp(&server, "silent.test.", RecordType::A).is_err());
        assert_eq!(server.count(), 7);
        assert_eq!(server.questions()[0].question, ("good.test".into(), RecordType::A));
    }

    #[test]
    fn a_wave_is_answered_when_it_is_whole() {
        let server = FakeDns::start("127.0.0.1:0", Zone::parse("a.test A 192.0.2.1"));
        server.expect_waves(&[&[("a.test", RecordType::A), ("b.test", RecordType::A)]]);
        thread::scope(|scope| {
            let first = scope.spawn(|| over_udp(&server, "a.test.", RecordType::A));
            let second = scope.spawn(|| over_udp(&server, "b.test.", RecordType::A));
            assert_eq!(server.await_waves(Duration::from_secs(10)), Ok(()));
            assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
        });
        server.expect_waves(&[&[("a.test", RecordType::A), ("b.test", RecordType::A)]]);
        let missing = server.await_waves(Duration::ZERO).unwrap_err();
        assert!(missing.contains("a.test A") && missing.contains("b.test A"));
    }
}
