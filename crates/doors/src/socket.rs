//! The sockets of a door, as the configuration describes them.

use std::fmt;

use facts::Endpoint;
use net::{Listen, Listener};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The permission bits of a socket file, in octal as chmod(1) writes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

/// Listens on all `endpoints`. The rest is for Unix-domain sockets.
///
/// # Errors
/// The first endpoint where that fails, and what to do about it.
pub(crate) async fn bind(
    endpoints: &[Endpoint],
    mode: SocketMode,
    owner: Option<&String>,
    group: Option<&String>,
) -> Result<Vec<Listener>, net::Error> {
    let mut listeners = Vec::new();
    for endpoint in endpoints {
        let (owner, group) = (owner.cloned(), group.cloned());
        listeners.push(net::bind(&Listen { endpoint: endpoint.clone(), mode: Some(mode.0), owner, group }).await?);
    }
    Ok(listeners)
}

impl fmt::Debug for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for SocketMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => {
                Err(D::Error::custom(format_args!("\"{text}\" is not a mode: write three octal digits as in \"0660\"")))
            }
        }
    }
}
