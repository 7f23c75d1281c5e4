//! A DNS server on loopback that answers as a test tells it to.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

pub(super) struct FakeServer {
    pub(super) address: SocketAddr,
    /// An answer goes out only when there is a permit for it; [`FakeServer::start`] gives enough for all.
    pub(super) permits: Arc<Semaphore>,
    seen: watch::Receiver<usize>,
}

impl FakeServer {
    /// A server that sends what `reply` makes of each question.
    pub(super) async fn start<R>(reply: R) -> Self
    where
        R: Fn(&Message, Transport) -> Vec<Vec<u8>> + Clone + Send + Sync + 'static,
    {
        let server = Self::withholding(reply).await;
        server.permits.add_permits(1_000_000);
        server
    }

    /// The same, but nothing is sent before somebody adds permits.
    pub(super) async fn withholding<R>(reply: R) -> Self
    where
        R: Fn(&Message, Transport) -> Vec<Vec<u8>> + Clone + Send + Sync + 'static,
    {
        let (tcp, udp) = same_port().await;
        let (address, udp) = (tcp.local_addr().unwrap(), Arc::new(udp));
        let permits = Arc::new(Semaphore::new(0));
        let (count, seen) = watch::channel(0);
        let count = Arc::new(count);
        tokio::spawn(serve_udp(udp, reply.clone(), Arc::clone(&permits), Arc::clone(&count)));
        tokio::spawn(serve_tcp(tcp, reply, count));
        Self { address, permits, seen }
    }

    /// How many questions have come, repetitions included.
    pub(super) fn seen(&self) -> usize {
        *self.seen.borrow()
    }

    pub(super) async fn has_seen(&self, questions: usize) {
        self.seen.clone().wait_for(|seen| *seen >= questions).await.unwrap();
    }
}

/// A port that nobody has, for TCP and for UDP: what the system picks for one may be taken for the other.
async fn same_port() -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
    panic!("no port is free for both");
}

async fn serve_udp<R>(socket: Arc<UdpSocket>, reply: R, permits: Arc<Semaphore>, seen: Arc<watch::Sender<usize>>)
where
    R: Fn(&Message, Transport) -> Vec<Vec<u8>> + Clone + Send + Sync + 'static,
{
    let mut datagram = vec![0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut datagram).await.unwrap();
        let question = Message::from_vec(datagram.get(..length).unwrap()).unwrap();
        seen.send_modify(|seen| *seen += 1);
        let (socket, reply, permits) = (Arc::clone(&socket), reply.clone(), Arc::clone(&permits));
        tokio::spawn(async move {
            permits.acquire().await.unwrap().forget();
            for answer in reply(&question, Transport::Udp) {
                socket.send_to(&answer, client).await.unwrap();
            }
        });
    }
}

async fn serve_tcp<R>(listener: TcpListener, reply: R, seen: Arc<watch::Sender<usize>>)
where
    R: Fn(&Message, Transport) -> Vec<Vec<u8>> + Send + 'static,
{
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut octets = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut octets).await.unwrap();
        seen.send_modify(|seen| *seen += 1);
        for answer in reply(&Message::from_vec(&octets).unwrap(), Transport::Tcp) {
            stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

/// The answer to `question` with `code` and without records.
pub(super) fn coded(question: &Message, code: ResponseCode) -> Message {
    let mut message = Message::error_msg(question.metadata.id, question.metadata.op_code, code);
    message.add_queries(question.queries.iter().cloned());
    message
}

/// The answer to `question` with so many addresses of the name asked, good for 300 s.
pub(super) fn addressed(question: &Message, addresses: u16) -> Message {
    let mut message = coded(question, ResponseCode::NoError);
    let name: Name = question.queries.first().unwrap().name().clone();
    for number in 0..addresses {
        let [high, low] = number.to_be_bytes();
        message.add_answer(Record::from_rdata(name.clone(), 300, RData::A(A::new(127, 0, high, low))));
    }
    message
}

pub(super) fn octets(message: &Message) -> Vec<Vec<u8>> {
    vec![message.to_vec().unwrap()]
}
