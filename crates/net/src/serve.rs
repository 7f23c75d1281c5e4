//! Accepts connections within limits, a task for each, and stops gracefully.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::listen::{Listener, ListeningSocket};
use crate::stream::Detached;
use crate::workers::Place;
use crate::{Peer, Stream, Workers};

/// The pause after an error of accept(2) that will not go away by itself, such as no file descriptor left; doubled
/// at each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What bounds a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once. Further ones wait in the kernel's backlog until one ends.
    pub connections_max: usize,
    /// How long connections may go on after the stop was asked for.
    pub stop_grace: Duration,
}

/// What a server has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted since the start.
    pub accepted: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Errors of accept(2) since the start.
    pub accept_errors: AtomicU64,
    /// Connections that ended by a fault of ours since the start.
    pub panics: AtomicU64,
}

/// Accepts connections from all `listeners` until `stop` is cancelled, and runs `handle` for each in a task of its
/// own, on one of the `workers`. Then nothing listens any more, and those that are open have `limits.stop_grace` to end by themselves (the
/// handlers must watch `stop`). Returns how many had to be cut.
///
/// Cancelling the returned future cuts everything at once.
pub async fn serve<H, F>(
    listeners: Vec<Listener>,
    limits: Limits,
    counters: &Counters,
    stop: CancellationToken,
    workers: &Workers,
    handle: H,
) -> usize
where
    H: Fn(Stream, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut acceptor = Acceptor::new(listeners);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended, counters),
            accepted = acceptor.accept(), if connections.len() < limits.connections_max => match accepted {
                Ok((stream, peer)) => {
                    counters.accepted.fetch_add(1, Relaxed);
                    counters.open.fetch_add(1, Relaxed);
                    let worker = workers.least_busy();
                    connections.spawn_on(one(stream, peer, worker.place(), handle.clone()), &worker.runtime);
                }
                Err(error) => {
                    counters.accept_errors.fetch_add(1, Relaxed);
                    acceptor.back_off(&error);
                }
            }
        }
    }
    drop(acceptor);
    end(connections, limits.stop_grace, counters).await
}

/// One connection, counted as its worker's.
async fn one<H, F>(stream: Detached, peer: Peer, _place: Place, handle: H)
where
    H: Fn(Stream, Peer) -> F,
    F: Future<Output = ()>,
{
    match stream.attach() {
        Ok(stream) => handle(stream, peer).await,
        Err(error) => tracing::error!("cannot serve a connection: {error}"),
    }
}

async fn end(mut connections: JoinSet<()>, grace: Duration, counters: &Counters) -> usize {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            note(ended, counters);
        }
    };
    if timeout(grace, all_ended).await.is_ok() {
        return 0;
    }
    let cut = connections.len();
    connections.shutdown().await;
    counters.open.fetch_sub(cut as u64, Relaxed);
    cut
}

fn note(ended: Result<(), JoinError>, counters: &Counters) {
    counters.open.fetch_sub(1, Relaxed);
    if let Err(error) = ended
        && error.is_panic()
    {
        counters.panics.fetch_add(1, Relaxed);
        tracing::error!("a connection ended by a fault of ours: {error}");
    }
}

/// Accepts from several sockets in turn.
struct Acceptor {
    sockets: Vec<ListeningSocket>,
    /// Where the next round begins, so that a busy socket does not starve the others.
    first: usize,
    /// The pause after the last error; zero after a success.
    pause: Duration,
    resume: Instant,
}

impl Acceptor {
    fn new(listeners: Vec<Listener>) -> Self {
        let sockets = listeners.into_iter().flat_map(|listener| listener.sockets).collect();
        Self { sockets, first: 0, pause: Duration::ZERO, resume: Instant::now() }
    }

    /// May be dropped at any time without losing a connection.
    async fn accept(&mut self) -> io::Result<(Detached, Peer)> {
        if !self.pause.is_zero() {
            sleep_until(self.resume).await;
        }
        let (stream, peer) = poll_fn(|cx| self.poll_accept(cx)).await?;
        self.pause = Duration::ZERO;
        Ok((stream.detach()?, peer))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        let count = self.sockets.len();
        let (before, from_first) = self.sockets.split_at_checked(self.first).unwrap_or((&[], &self.sockets));
        for (index, socket) in from_first.iter().chain(before).enumerate() {
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                self.first = (self.first + index + 1) % count;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Without a pause an error such as "too many open files" would keep a processor busy for nothing.
    fn back_off(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.resume = Instant::now() + self.pause;
        tracing::error!("cannot accept connections, next try in {} ms: {error}", self.pause.as_millis());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use facts::Endpoint;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixStream};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{Listen, bind};

    struct Server {
        address: SocketAddr,
        counters: Arc<Counters>,
        stop: CancellationToken,
        served: JoinHandle<usize>,
    }

    async fn listener(endpoint: Endpoint) -> Listener {
        bind(&Listen { endpoint, mode: None, owner: None, group: None }).await.unwrap()
    }

    /// A server whose connections say one byte, then wait for one, or for the stop if they are `obedient`.
    async fn server(connections_max: usize, obedient: bool, more: Vec<Listener>) -> Server {
        let tcp = listener("inet:127.0.0.1:0".parse().unwrap()).await;
        let endpoints = tcp.endpoints();
        let Some(Endpoint::Inet { port, .. }) = endpoints.first() else { panic!("{endpoints:?}") };
        let address = SocketAddr::from(([127, 0, 0, 1], *port));
        let listeners = std::iter::once(tcp).chain(more).collect();
        let limits = Limits { connections_max, stop_grace: Duration::from_secs(10) };
        let (counters, stop) = (Arc::new(Counters::default()), CancellationToken::new());
        let (counters_there, stop_there, told) = (Arc::clone(&counters), stop.clone(), stop.clone());
        let handle = move |mut stream: Stream, _| {
            let told = told.clone();
            async move {
                stream.write_all(b"!").await.unwrap();
                tokio::select! {
                    read = stream.read_u8() => assert_ne!(read.ok(), Some(b'p'), "told to panic"),
                    () = told.cancelled(), if obedient => {}
                }
            }
        };
        let workers = Workers::start(2).unwrap();
        let served =
            tokio::spawn(async move { serve(listeners, limits, &counters_there, stop_there, &workers, handle).await });
        Server { address, counters, stop, served }
    }

    async fn greeted(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'!');
        stream
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_waits() {
        let server = server(1, true, Vec::new()).await;
        let first = greeted(server.address).await;
        let mut second = TcpStream::connect(server.address).await.unwrap();
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.counters.accepted.load(Relaxed), 1);
        drop(first);
        assert_eq!(second.read_u8().await.unwrap(), b'!');
    }

    #[tokio::test]
    async fn all_listeners_are_served() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = server(9, true, vec![listener(Endpoint::Unix(path.clone())).await]).await;
        let _tcp = greeted(server.address).await;
        let mut unix = UnixStream::connect(&path).await.unwrap();
        assert_eq!(unix.read_u8().await.unwrap(), b'!');
        server.stop.cancel();
        assert_eq!(server.served.await.unwrap(), 0);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_graceful_stop_cuts_nobody() {
        let server = server(9, true, Vec::new()).await;
        let mut stream = greeted(server.address).await;
        server.stop.cancel();
        assert_eq!(server.served.await.unwrap(), 0);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn who_does_not_stop_is_cut() {
        let server = server(9, false, Vec::new()).await;
        let _stream = greeted(server.address).await;
        tokio::time::pause();
        server.stop.cancel();
        assert_eq!(server.served.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_one_connection_only() {
        let server = server(1, true, Vec::new()).await;
        let mut first = greeted(server.address).await;
        first.write_all(b"p").await.unwrap();
        let _second = greeted(server.address).await;
        assert_eq!(server.counters.panics.load(Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end() {
        let mut acceptor = Acceptor::new(vec![listener("inet:127.0.0.1:0".parse().unwrap()).await]);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            acceptor.back_off(&io::Error::from_raw_os_error(nix::libc::EMFILE));
            pauses.push(acceptor.pause.as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        acceptor.back_off(&io::ErrorKind::ConnectionAborted.into());
        assert_eq!(acceptor.pause, PAUSE_MAX);
    }
}
