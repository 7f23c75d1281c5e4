//! Where to listen or dial, in the notations of Postfix and of the milters.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hostname;

/// A socket: `inet:127.0.0.1:10023` or `unix:/path` as Postfix writes them, `inet:8893@localhost` or
/// `local:/path` as milters do. `inet:10023` means loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP.
    Inet {
        /// A host name or an address (IPv6 without brackets).
        host: String,
        /// The port, 0 for one that the system picks.
        port: u16,
    },
    /// A Unix-domain socket.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').ok_or_else(|| unlike(text))?;
        match kind {
            "unix" | "local" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" | "local" => Err(format!("{text}: the path of a socket starts with \"/\"")),
            "inet" | "inet6" => inet(text, rest),
            _ => Err(unlike(text)),
        }
    }
}

fn unlike(text: &str) -> String {
    format!("\"{text}\" is not a socket: write inet:127.0.0.1:10023 or unix:/path")
}

fn inet(text: &str, rest: &str) -> Result<Endpoint, String> {
    let in_text = |error| format!("{text}: {error}");
    let (host, port) = if let Some((port, host)) = rest.split_once('@') {
        (bare(host).map_err(in_text)?, port)
    } else if rest.contains([':', ']']) {
        host_port(rest).map_err(in_text)?
    } else {
        ("127.0.0.1", rest)
    };
    let port = port.parse().map_err(|_| format!("{text}: \"{port}\" is not a port"))?;
    Ok(Endpoint::Inet { host: host.to_owned(), port })
}

/// The host, without brackets, and the port or the service of `host:port`, `[host]:port`, `host` or `[host]`; the latter
/// is empty where none is given (Postfix: host_port(3)).
///
/// # Errors
/// A sentence about what is neither a host name nor an address, or no port.
pub fn host_port(text: &str) -> Result<(&str, &str), String> {
    let end = if text.starts_with('[') { text.find(']').map_or(text.len(), |at| at + 1) } else { 0 };
    let (host, port) = match text.get(end..).and_then(|rest| rest.find(':')) {
        Some(colon) => (text.get(..end + colon).unwrap_or_default(), text.get(end + colon + 1..).unwrap_or_default()),
        None => (text, ""),
    };
    if port.starts_with(|c: char| c.is_ascii_digit()) && port.contains(|c: char| !c.is_ascii_digit()) {
        return Err(format!("\"{port}\" is not a port"));
    }
    Ok((bare(host)?, port))
}

/// A host without its brackets and without the tag of an address literal.
fn bare(host: &str) -> Result<&str, String> {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_address = hostname::is_address(inside) || hostname::is_literal_address(inside);
    if !is_address && !hostname::is_hostname(inside) {
        return Err(format!("\"{inside}\" is neither a host name nor an address (0.0.0.0 is every address)"));
    }
    Ok(hostname::strip_ipv6_tag(inside).unwrap_or(inside))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet { host, port } if host.contains(':') => write!(f, "inet:[{host}]:{port}"),
            Self::Inet { host, port } => write!(f, "inet:{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (text, shown) in [
            ("inet:127.0.0.1:10023", "inet:127.0.0.1:10023"),
            ("inet:10023", "inet:127.0.0.1:10023"),
            ("inet:8893@localhost", "inet:localhost:8893"),
            ("inet:[::1]:25", "inet:[::1]:25"),
            ("inet:[IPv6:::1]:25", "inet:[::1]:25"),
            ("inet:[mx.example]:25", "inet:mx.example:25"),
            ("inet6:25@::1", "inet:[::1]:25"),
            ("unix:/run/portcullis/policy", "unix:/run/portcullis/policy"),
            ("local:/run/p.sock", "unix:/run/p.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for bad in
            " 10023 127.0.0.1:10023 unix:private/x inet:127.0.0.1 inet::1 inet:h:99999 tcp:x:1 inet:h: inet:[::1 inet:[::1]x:1 \
             inet:[::1]: inet:h.:1 inet:1@h. inet:h:1p"
                .split(' ')
        {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
