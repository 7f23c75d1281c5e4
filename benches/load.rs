//! A Postfix that asks its policy service, on many connections, each one request after the other: the load.
//!
//! One thread, and two system calls a request: it shares the machine with the server that is measured.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::chain::OURS;

/// Room for a reply; the longest holds one reply text.
const REPLY_LENGTH_MAX: usize = 4096;

/// One mail of which a policy server is asked. Its number gives the client its address.
#[derive(Clone, Copy)]
pub struct Mail {
    /// Below 2^24, and different for each client.
    pub number: u32,
    /// The client and the sender are of this domain.
    pub domain: u32,
}

impl Mail {
    /// The client's address.
    pub fn client(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) | self.number)
    }

    /// The client's name, in the DNS and in its HELO.
    pub fn host(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "m.d{}.test", self.domain))
    }

    /// The sender's domain.
    pub fn domain(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "d{}.test", self.domain))
    }

    /// The sender.
    pub fn sender(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "u{}@{}", self.number, self.domain()))
    }

    /// The recipient.
    pub fn recipient(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "user{}@{OURS}", self.number % 100))
    }

    /// What Postfix 3.7 sends at RCPT, with everything it knows of the client.
    fn write_request(self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n");
        let host = self.host();
        write!(out, "client_address={}\nclient_name={host}\nclient_port=40000\n", self.client())?;
        write!(out, "reverse_client_name={host}\nserver_address=192.0.2.25\nserver_port=25\nhelo_name={host}\n")?;
        write!(out, "sender={}\nrecipient={}\n", self.sender(), self.recipient())?;
        write!(out, "recipient_count=0\nqueue_id=\ninstance={:x}.1.0\n", self.number)?;
        out.extend_from_slice(
            b"size=4096\netrn_domain=\nstress=\nsasl_method=\nsasl_username=\n\
              sasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n\
              encryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n",
        );
        Ok(())
    }
}

/// What is asked, and whom.
pub struct Load {
    /// The policy server.
    pub server: SocketAddr,
    /// How many connections ask it side by side.
    pub connections: u32,
    /// The numbers of the mails.
    pub numbers: Range<u32>,
    /// Over how many domains they spread.
    pub domains: u32,
}

/// The answer to one request.
pub struct Answer {
    /// When the request was sent.
    pub sent: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// Whether the answer was anything else than `DUNNO`.
    pub refused: bool,
}

impl Load {
    /// Asks for every mail once; the answers of one connection come in the order of asking.
    pub fn run(&self) -> io::Result<Vec<Answer>> {
        let next = Arc::new(AtomicU32::new(self.numbers.start));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connections = JoinSet::new();
            for _ in 0..self.connections {
                let stream = TcpStream::connect(self.server).await?;
                stream.set_nodelay(true)?;
                connections.spawn(ask(stream, Arc::clone(&next), self.numbers.end, self.domains));
            }
            let mut answers = Vec::new();
            for connection in connections.join_all().await {
                answers.extend(connection?);
            }
            Ok(answers)
        })
    }
}

async fn ask(mut stream: TcpStream, next: Arc<AtomicU32>, end: u32, domains: u32) -> io::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut request = Vec::new();
    let mut reply = Vec::with_capacity(REPLY_LENGTH_MAX);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok(answers);
        }
        request.clear();
        Mail { number, domain: number % domains }.write_request(&mut request)?;
        let sent = Instant::now();
        stream.write_all(&request).await?;
        reply.clear();
        while !reply.ends_with(b"\n\n") {
            if stream.read_buf(&mut reply).await? == 0 || reply.len() > REPLY_LENGTH_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        answers.push(Answer { sent, took: sent.elapsed(), refused: reply != b"action=DUNNO\n\n" });
    }
}
