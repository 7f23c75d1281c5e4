//! A client that asks services one request at a time on connections that it keeps.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use facts::{Endpoint, Terms};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Stream;
use crate::stream::Detached;

/// The most connections that are kept while nobody uses them, over all endpoints.
const KEPT_MAX: usize = 256;
/// Room for one read.
const READ_LENGTH: usize = 4096;

/// Asks services. Clones share the connections that are kept. Must be used inside a tokio runtime, any of several.
#[derive(Clone, Debug, Default)]
pub struct Client(Arc<Mutex<Shelf>>);

/// Connections that nobody uses.
#[derive(Debug, Default)]
struct Shelf {
    kept: Vec<Kept>,
    /// Whether a task waits for the first of them to expire.
    is_swept: bool,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    stream: Detached,
    /// Where it stands in its life.
    age: Age,
    expires: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Age {
    opened: Instant,
    requests: u32,
}

impl Client {
    /// Sends `request` to `endpoint` and returns what `reply` makes of all bytes that came back: `None` while they are
    /// not whole, an error where they are no reply. A connection that was kept may have been closed meanwhile: then a
    /// new one is opened at once, which counts as no try.
    ///
    /// # Errors
    /// What went wrong at the last try.
    pub async fn ask<T>(
        &self,
        endpoint: &Endpoint,
        terms: &Terms,
        request: &[u8],
        reply: impl Fn(&[u8]) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let exchange = |stream, age| self.exchange(stream, age, endpoint, terms, request, &reply);
        if let Some((stream, age)) = self.take(endpoint)
            && let Ok(answer) = in_time(terms.timeout, exchange(stream, age)).await
        {
            return Ok(answer);
        }
        let mut tries = 1;
        loop {
            let asking = async {
                let stream = connect(endpoint).await?;
                exchange(stream, Age { opened: Instant::now(), requests: 0 }).await
            };
            match in_time(terms.timeout, asking).await {
                Err(_) if tries < terms.try_limit.get() => {}
                answered => return answered,
            }
            tries += 1;
            sleep(terms.retry_delay).await;
        }
    }

    async fn exchange<T>(
        &self,
        mut stream: Stream,
        age: Age,
        endpoint: &Endpoint,
        terms: &Terms,
        request: &[u8],
        reply: &impl Fn(&[u8]) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        stream.write_all(request).await?;
        let mut arrived = Vec::with_capacity(READ_LENGTH);
        loop {
            if stream.read_buf(&mut arrived).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up before its reply was whole"));
            }
            if let Some(answer) = reply(&arrived)? {
                self.keep(stream, Age { requests: age.requests.saturating_add(1), ..age }, endpoint, terms);
                return Ok(answer);
            }
        }
    }

    /// A connection to `endpoint` that was kept, the one used last.
    fn take(&self, endpoint: &Endpoint) -> Option<(Stream, Age)> {
        let mut shelf = self.shelf();
        let now = Instant::now();
        let index = shelf.kept.iter().rposition(|kept| kept.endpoint == *endpoint && kept.expires > now)?;
        let kept = shelf.kept.remove(index);
        Some((kept.stream.attach().ok()?, kept.age))
    }

    /// Keeps a connection, unless its time has come. Which runtime it was served by is forgotten.
    fn keep(&self, stream: Stream, age: Age, endpoint: &Endpoint, terms: &Terms) {
        let now = Instant::now();
        let (idle, dead) = (now.checked_add(terms.max_idle), age.opened.checked_add(terms.max_ttl));
        let Some(expires) = idle.into_iter().chain(dead).min().filter(|expires| *expires > now) else { return };
        if terms.request_limit > 0 && age.requests >= terms.request_limit {
            return;
        }
        let Ok(stream) = stream.detach() else { return };
        let mut shelf = self.shelf();
        if shelf.kept.len() >= KEPT_MAX {
            shelf.kept.remove(0);
        }
        shelf.kept.push(Kept { endpoint: endpoint.clone(), stream, age, expires });
        if !std::mem::replace(&mut shelf.is_swept, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Closes what expires until nothing is left.
    async fn sweep(self) {
        while let Some(next) = self.expire() {
            sleep_until(next).await;
        }
    }

    /// Closes what has expired. When the next one does.
    fn expire(&self) -> Option<Instant> {
        let mut shelf = self.shelf();
        let now = Instant::now();
        shelf.kept.retain(|kept| kept.expires > now);
        let next = shelf.kept.iter().map(|kept| kept.expires).min();
        shelf.is_swept = next.is_some();
        next
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Inet { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
    }
}

async fn in_time<T>(time: Duration, asking: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    const TERMS: Terms = Terms {
        timeout: Duration::from_secs(100),
        max_idle: Duration::from_secs(300),
        max_ttl: Duration::from_secs(1000),
        try_limit: NonZeroU32::new(2).unwrap(),
        retry_delay: Duration::from_secs(1),
        request_limit: 0,
    };

    /// A service that answers each line with its own number on the connection, and the number of that connection.
    struct Service {
        endpoint: Endpoint,
        connections: Arc<AtomicU32>,
    }

    /// How a service treats a connection.
    #[derive(Clone, Copy)]
    enum Manner {
        Answers,
        /// It hangs up after each answer.
        HangsUp,
        Silent,
    }

    async fn service(manner: Manner) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicU32>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Relaxed) + 1;
                tokio::spawn(serve(stream, number, manner));
            }
        });
        Service { endpoint: Endpoint::Inet { host: "127.0.0.1".into(), port: address.port() }, connections }
    }

    async fn serve(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, connection: u32, manner: Manner) {
        let (mut request, mut byte) = (0, [0]);
        while stream.read_exact(&mut byte).await.is_ok() {
            if byte == *b"\n" && !matches!(manner, Manner::Silent) {
                request += 1;
                stream.write_all(format!("{connection}.{request}\n").as_bytes()).await.unwrap();
                if matches!(manner, Manner::HangsUp) {
                    return;
                }
            }
        }
    }

    fn line(bytes: &[u8]) -> io::Result<Option<String>> {
        Ok(bytes.strip_suffix(b"\n").map(|line| String::from_utf8_lossy(line).into_owned()))
    }

    async fn ask(client: &Client, service: &Service, terms: &Terms) -> String {
        client.ask(&service.endpoint, terms, b"?\n", line).await.unwrap()
    }

    #[tokio::test]
    async fn connections_are_kept_for_the_next_request() {
        let (client, service) = (Client::default(), service(Manner::Answers).await);
        assert_eq!(ask(&client, &service, &TERMS).await, "1.1");
        assert_eq!(ask(&client, &service, &TERMS).await, "1.2");
        let both = tokio::join!(ask(&client, &service, &TERMS), ask(&client, &service, &TERMS));
        assert_eq!(both, ("1.3".into(), "2.1".into()), "one connection carries one request at a time");
        assert_eq!(client.shelf().kept.len(), 2);
    }

    #[tokio::test]
    async fn unix_sockets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move { serve(listener.accept().await.unwrap().0, 1, Manner::Answers).await });
        let service = Service { endpoint: Endpoint::Unix(path), connections: Arc::default() };
        let client = Client::default();
        assert_eq!(ask(&client, &service, &TERMS).await, "1.1");
        assert_eq!(ask(&client, &service, &TERMS).await, "1.2");
    }

    #[tokio::test]
    async fn a_request_limit_ends_connections() {
        let (client, service) = (Client::default(), service(Manner::Answers).await);
        let terms = Terms { request_limit: 2, ..TERMS };
        for expected in ["1.1", "1.2", "2.1"] {
            assert_eq!(ask(&client, &service, &terms).await, expected);
        }
        for terms in [Terms { max_idle: Duration::ZERO, ..TERMS }, Terms { max_ttl: Duration::ZERO, ..TERMS }] {
            ask(&client, &service, &terms).await;
            assert!(client.shelf().kept.is_empty());
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_costs_no_try() {
        let (client, service) = (Client::default(), service(Manner::HangsUp).await);
        let terms = Terms { try_limit: NonZeroU32::MIN, ..TERMS };
        assert_eq!(ask(&client, &service, &terms).await, "1.1");
        assert_eq!(ask(&client, &service, &terms).await, "2.1");
    }

    #[tokio::test]
    async fn idle_connections_are_closed_and_not_too_many_kept() {
        let (client, service) = (Client::default(), service(Manner::Answers).await);
        for _ in 0..=KEPT_MAX {
            let stream = connect(&service.endpoint).await.unwrap();
            client.keep(stream, Age { opened: Instant::now(), requests: 1 }, &service.endpoint, &TERMS);
        }
        assert_eq!(client.shelf().kept.len(), KEPT_MAX);
        tokio::time::pause();
        tokio::time::advance(TERMS.max_idle).await;
        assert!(client.take(&service.endpoint).is_none());
        assert_eq!(client.expire(), None);
        assert!(client.shelf().kept.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_tried_again_and_then_given_up() {
        let (client, service) = (Client::default(), service(Manner::Silent).await);
        let start = Instant::now();
        let error = client.ask(&service.endpoint, &TERMS, b"?\n", line).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 201));
        assert_eq!(service.connections.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        let (client, service) = (Client::default(), service(Manner::Answers).await);
        let terms = Terms { try_limit: NonZeroU32::MIN, ..TERMS };
        let refuse = |_: &[u8]| Err::<Option<()>, _>(io::Error::other("no reply"));
        assert_eq!(client.ask(&service.endpoint, &terms, b"?\n", refuse).await.unwrap_err().to_string(), "no reply");
        assert!(client.shelf().kept.is_empty());
        let nobody = Endpoint::Unix("/nonexistent/socket".into());
        assert_eq!(client.ask(&nobody, &terms, b"", line).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
