//! Listening sockets: from an endpoint of the configuration to what connections are accepted from.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::task::{Context, Poll};

use facts::Endpoint;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::unix::{self, SocketFile};
use crate::{Peer, Stream};

/// How many connections the kernel keeps for us until we accept them (it caps this by `net.core.somaxconn`).
pub(crate) const BACKLOG: i32 = 1024;

/// What to listen on. The last three count for Unix-domain sockets only.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The socket.
    pub endpoint: Endpoint,
    /// Who may connect, as bits of chmod(1); `None` leaves it to the umask.
    pub mode: Option<u32>,
    /// To whom the socket file is given: a user's name or number.
    pub owner: Option<String>,
    /// To which group the socket file is given: a name or a number.
    pub group: Option<String>,
}

/// Why nothing listens on an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no address.
    #[error("{endpoint}: cannot resolve the host: {source}")]
    Unresolved {
        /// Where we were to listen.
        endpoint: Endpoint,
        /// The resolver's error.
        source: io::Error,
    },
    /// Another process listens there.
    #[error("{endpoint}: the address is in use: is postgrey, OpenDMARC or another portcullis running there?")]
    InUse {
        /// Where we were to listen.
        endpoint: Endpoint,
    },
    /// The system does not let us.
    #[error("{endpoint}: no permission to {action}: {}", advice(endpoint, action))]
    Forbidden {
        /// Where we were to listen.
        endpoint: Endpoint,
        /// What was tried.
        action: Action,
    },
    /// The directory for the socket file is not there.
    #[error("{endpoint}: the directory {} does not exist", directory.display())]
    DirectoryMissing {
        /// Where we were to listen.
        endpoint: Endpoint,
        /// The directory.
        directory: PathBuf,
    },
    /// Something else has the name, and it is not ours to remove.
    #[error("{endpoint}: a file of this name exists that is no socket: remove it or choose another name")]
    NotASocket {
        /// Where we were to listen.
        endpoint: Endpoint,
    },
    /// No such user or group.
    #[error("{endpoint}: there is no {kind} \"{name}\"")]
    UnknownOwner {
        /// Where we were to listen.
        endpoint: Endpoint,
        /// `user` or `group`.
        kind: &'static str,
        /// The name that was looked up.
        name: String,
    },
    /// Anything else.
    #[error("{endpoint}: cannot {action}: {source}")]
    Io {
        /// Where we were to listen.
        endpoint: Endpoint,
        /// What was tried.
        action: Action,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// The error for `endpoint` that tells most about `source`.
    pub(crate) fn new(endpoint: &Endpoint, action: Action, source: io::Error) -> Self {
        let endpoint = endpoint.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { endpoint },
            io::ErrorKind::PermissionDenied => Self::Forbidden { endpoint, action },
            _ => Self::Io { endpoint, action, source },
        }
    }
}

/// What is done to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Making the socket and its file.
    Listen,
    /// Giving the socket file its owner and group.
    SetOwner,
    /// Giving the socket file its mode.
    SetMode,
    /// Connecting to a socket file that is already there, and removing it if nobody answers.
    ReplaceStale,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listen => "listen",
            Self::SetOwner => "give the socket its owner and group",
            Self::SetMode => "give the socket its mode",
            Self::ReplaceStale => "replace the socket that is there",
        })
    }
}

fn advice(endpoint: &Endpoint, action: &Action) -> &'static str {
    match (endpoint, action) {
        (Endpoint::Inet { .. }, _) => "choose a port from 1024 up",
        (Endpoint::Unix(_), Action::Listen) => "choose a directory that this user may write to",
        (Endpoint::Unix(_), Action::SetOwner) => "only root may give a file to another user or a foreign group",
        (Endpoint::Unix(_), Action::SetMode | Action::ReplaceStale) => "it belongs to another user",
    }
}

/// An endpoint that accepts connections. Dropping it closes it and removes its socket file.
#[derive(Debug)]
pub struct Listener {
    pub(crate) sockets: Vec<ListeningSocket>,
}

#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Where it listens: one endpoint for each address of the host, with the port that the system picked where
    /// none was named.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.sockets.iter().map(ListeningSocket::endpoint).collect()
    }
}

impl ListeningSocket {
    fn endpoint(&self) -> Endpoint {
        match self {
            Self::Tcp(listener) => {
                let address = listener.local_addr().unwrap_or(SocketAddr::from(([0; 4], 0)));
                Endpoint::Inet { host: address.ip().to_string(), port: address.port() }
            }
            Self::Unix(_, file) => Endpoint::Unix(file.path().to_owned()),
        }
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, address)| {
                // A reply is one small write: waiting for more would only delay it. This fails only on a
                // connection that is already gone, which the first read will tell.
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), Peer::Inet(address))
            }),
            Self::Unix(listener, _) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| (Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Listens on `listen.endpoint`: on every address of its host, as `localhost` is both 127.0.0.1 and ::1, and
/// Postfix may try either.
///
/// # Errors
/// The endpoint, and what to do about it.
pub async fn bind(listen: &Listen) -> Result<Listener, Error> {
    let sockets = match &listen.endpoint {
        Endpoint::Inet { host, port } => bind_inet(&listen.endpoint, host, *port).await?,
        Endpoint::Unix(path) => vec![unix::bind(listen, path).await?],
    };
    Ok(Listener { sockets })
}

async fn bind_inet(endpoint: &Endpoint, host: &str, mut port: u16) -> Result<Vec<ListeningSocket>, Error> {
    let mut sockets: Vec<ListeningSocket> = Vec::new();
    let mut absent = None;
    for address in addresses(endpoint, host).await? {
        match listen_tcp(SocketAddr::new(address, port)) {
            Ok(listener) => {
                // All addresses of a host share the port, also one that the system picked.
                port = listener.local_addr().map_or(port, |address| address.port());
                sockets.push(ListeningSocket::Tcp(listener));
            }
            Err(error) if is_absent(&error) => {
                tracing::info!("{endpoint}: not listening on {address}: {error}");
                absent = Some(error);
            }
            Err(error) => return Err(Error::new(endpoint, Action::Listen, error)),
        }
    }
    match absent {
        Some(error) if sockets.is_empty() => Err(Error::new(endpoint, Action::Listen, error)),
        _ => Ok(sockets),
    }
}

async fn addresses(endpoint: &Endpoint, host: &str) -> Result<Vec<IpAddr>, Error> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|source| Error::Unresolved { endpoint: endpoint.clone(), source })?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Whether the machine does not have that address, or that family: /etc/hosts gives `localhost` a ::1 even where
/// IPv6 is off, and its 127.0.0.1 will do.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // After a restart, connections of the former process may linger on the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // As Postfix does: [::] is not 0.0.0.0, and both may be listened on.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bound(endpoint: &str) -> Result<Listener, Error> {
        bind(&Listen { endpoint: endpoint.parse().unwrap(), mode: None, owner: None, group: None }).await
    }

    #[tokio::test]
    async fn localhost_is_every_loopback_address_on_one_port() {
        let endpoints = bound("inet:localhost:0").await.unwrap().endpoints();
        let Some(Endpoint::Inet { host, port }) = endpoints.first() else { panic!("{endpoints:?}") };
        assert_eq!(host, "127.0.0.1");
        assert!(
            endpoints.iter().all(|endpoint| matches!(endpoint, Endpoint::Inet { port: other, .. } if other == port))
        );
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = bound("inet:127.0.0.1:0").await.unwrap();
        let endpoint = first.endpoints().remove(0).to_string();
        let error = bound(&endpoint).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{endpoint}: the address is in use: is postgrey, OpenDMARC or another portcullis running there?")
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let error = bound("inet:192.0.2.1:10023").await.unwrap_err().to_string();
        assert!(error.starts_with("inet:192.0.2.1:10023: cannot listen: "), "{error}");
    }
}
