//! One connection of a door: what has arrived and is not answered yet, and replies. Who is silent for too long, or does
//! not take a reply, is gone.

use std::time::Duration;

use net::{Idle, Peer, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Room for one read. What Postfix asks is shorter, unless a client makes it long.
const READ_LENGTH: usize = 4096;
/// How much of what is malformed is logged, in bytes.
const SAMPLE_LENGTH: usize = 64;

/// Whether a connection goes on.
pub(crate) enum Then {
    Read,
    Close,
}

/// A connection.
pub(crate) struct Connection {
    stream: Stream,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// What has arrived: never much more than the longest thing that the protocol lets pass.
    pub(crate) arrived: Vec<u8>,
    idle: Idle,
}

impl Connection {
    /// A connection that may be silent for as long as `idle_timeout`.
    pub(crate) fn new(stream: Stream, peer: Peer, idle_timeout: Duration) -> Self {
        Self { stream, peer, arrived: Vec::new(), idle: Idle::new(idle_timeout) }
    }

    /// Waits for bytes. Whether some came: else the other end is gone or idle. May be dropped without losing any.
    pub(crate) async fn read(&mut self) -> bool {
        self.arrived.reserve(READ_LENGTH);
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.arrived) => read,
            () = self.idle.lasted() => return false,
        };
        self.idle.end();
        matches!(read, Ok(1..))
    }

    /// One write for each reply, or Postfix would wait for the rest of it. Whether it was taken.
    pub(crate) async fn write(&mut self, reply: &[u8]) -> bool {
        let written = tokio::select! {
            biased;
            written = self.stream.write_all(reply) => written,
            () = self.idle.lasted() => return false,
        };
        written.is_ok()
    }

    /// What has arrived gets no reply yet that would acknowledge it.
    pub(crate) fn acknowledge(&self) {
        self.stream.acknowledge();
    }

    /// The first `length` bytes are answered.
    pub(crate) fn answered(&mut self, length: usize) {
        self.arrived.drain(..length);
        if self.arrived.is_empty() {
            // One client with long values must not cost memory for as long as its connection stays.
            self.arrived.shrink_to(READ_LENGTH);
        }
    }

    /// What has arrived from `at` on, for the log: its beginning, escaped.
    pub(crate) fn sample(&self, at: usize) -> String {
        let sample = self.arrived.get(at..).unwrap_or_default();
        sample.get(..SAMPLE_LENGTH).unwrap_or(sample).escape_ascii().to_string()
    }
}
