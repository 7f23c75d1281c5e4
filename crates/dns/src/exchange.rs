//! One question to one server: a datagram, and TCP where the answer does not fit into one.
//!
//! Forged answers are kept out as RFC 5452 asks: each question has a random id and a socket of its own, on a port
//! that the system picks at random; the socket is connected, so that the kernel passes only what the server sends.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use facts::{DnsFailure, RecordType};
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{self, Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::Counters;

/// The answer that fits on every path (RFC 9715 §3, DNS flag day 2020).
const DATAGRAM_ADVERTISED: u16 = 1232;
const DATAGRAM_LENGTH_MAX: usize = 4096;
/// How often a datagram is sent in the time for its answer: some get lost.
const SENDINGS: u32 = 3;

/// Asks `server` for `name` and `record_type`, for at most `time`.
///
/// # Errors
/// `Timeout`, `Unreachable` or `Malformed`. What the server itself says of a failure stands in the message.
pub(crate) async fn exchange(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    time: Duration,
    counters: &Counters,
) -> Result<Message, DnsFailure> {
    let request = Request::new(name, record_type)?;
    let asking = async {
        let message = over_udp(server, &request, time / SENDINGS).await?;
        if !message.metadata.truncation {
            return Ok(message);
        }
        Counters::add(&counters.tcp_fallbacks);
        over_tcp(server, &request).await
    };
    timeout(time, asking).await.unwrap_or(Err(DnsFailure::Timeout))
}

/// A question as it goes out.
struct Request {
    message: Message,
    octets: Vec<u8>,
}

impl Request {
    /// A recursive question under a fresh random id.
    fn new(name: &Name, record_type: RecordType) -> Result<Self, DnsFailure> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name.clone(), wire_type(record_type)));
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_ADVERTISED);
        message.set_edns(edns);
        let octets = message.to_vec().map_err(|_| DnsFailure::Malformed)?;
        Ok(Self { message, octets })
    }

    /// Whether `octets` may be the answer: everything else on this socket is late or forged.
    fn has_id_of(&self, octets: &[u8]) -> bool {
        octets.first_chunk() == Some(&self.message.metadata.id.to_be_bytes())
    }

    /// Whether `message` answers this question. One that could not even read it may leave it out.
    fn is_answered_by(&self, message: &Message) -> bool {
        let repeated = message.queries == self.message.queries;
        let unread = message.queries.is_empty() && message.metadata.response_code != ResponseCode::NoError;
        message.metadata.message_type == MessageType::Response && (repeated || unread)
    }
}

fn wire_type(record_type: RecordType) -> rr::RecordType {
    match record_type {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Ns => rr::RecordType::NS,
        RecordType::Ptr => rr::RecordType::PTR,
        RecordType::Txt => rr::RecordType::TXT,
    }
}

async fn over_udp(server: SocketAddr, request: &Request, resend_after: Duration) -> Result<Message, DnsFailure> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = reached(UdpSocket::bind(local)).await?;
    reached(socket.connect(server)).await?;
    let mut datagram = vec![0; DATAGRAM_LENGTH_MAX];
    for _ in 0..SENDINGS {
        reached(socket.send(&request.octets)).await?;
        if let Ok(answer) = timeout(resend_after, answer_on(&socket, request, &mut datagram)).await {
            return answer;
        }
    }
    Err(DnsFailure::Timeout)
}

async fn answer_on(socket: &UdpSocket, request: &Request, datagram: &mut [u8]) -> Result<Message, DnsFailure> {
    loop {
        let length = reached(socket.recv(datagram)).await?;
        let octets = datagram.get(..length).unwrap_or_default();
        if !request.has_id_of(octets) {
            continue;
        }
        let message = Message::from_vec(octets).map_err(|_| DnsFailure::Malformed)?;
        if request.is_answered_by(&message) {
            return Ok(message);
        }
    }
}

/// RFC 1035 §4.2.2: over TCP, two octets of length stand before each message.
async fn over_tcp(server: SocketAddr, request: &Request) -> Result<Message, DnsFailure> {
    let mut stream = reached(TcpStream::connect(server)).await?;
    let length = u16::try_from(request.octets.len()).map_err(|_| DnsFailure::Malformed)?;
    reached(stream.write_all(&[&length.to_be_bytes(), &*request.octets].concat())).await?;
    let length = reached(stream.read_u16()).await?;
    let mut octets = vec![0; length.into()];
    reached(stream.read_exact(&mut octets)).await?;
    Message::from_vec(&octets)
        .ok()
        .filter(|message| request.has_id_of(&octets) && request.is_answered_by(message) && !message.metadata.truncation)
        .ok_or(DnsFailure::Malformed)
}

/// The system's word that nobody is there, or that we lack a socket to ask.
async fn reached<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, DnsFailure> {
    step.await.map_err(|error| {
        tracing::debug!("asking a DNS server: {error}");
        DnsFailure::Unreachable
    })
}
