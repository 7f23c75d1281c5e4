//! The control socket: where it lies, and what is said on it.
//!
//! A connection carries one request and one reply, each a JSON object on a line. Root and the user that the server runs as
//! may ask for everything; whoever else may connect, by the mode and the group of the socket, may look only.

mod client;
mod server;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use doors::SocketMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{AllowedName, Attempt, Cursor, Terms};

use crate::state;

pub use client::Client;
pub use server::Server;

/// Octets of a request. The longest name that is remembered has 1024, and JSON may need six for each.
const REQUEST_MAX: u64 = 8 << 10;
/// Octets of a reply, which is a page of [`PAGE_MAX`] entries at most.
const REPLY_MAX: u64 = 4 << 20;
/// Entries of a page. Each is shorter than 8 KiB.
const PAGE_MAX: usize = 500;

/// The socket's name in its directory.
const NAME: &str = "control";
/// Where the socket of a system's service lies, whose environment the administrator's shell does not have.
const OF_SERVICE: &str = "/run/portcullis/control";

/// The section `[control]`: the socket by which the command line reaches the server that runs. A reload does not change
/// it: that takes a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The path of the socket. Absent: `control` in `$RUNTIME_DIRECTORY`, else in the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Who may connect, in octal. Changes are for root and the server's own user all the same.
    #[schemars(with = "String")]
    pub socket_mode: SocketMode,
    /// To which group the socket belongs, a name or a number. Absent: to the group we run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { socket: None, socket_mode: SocketMode(0o660), socket_group: None }
    }
}

impl Config {
    /// Where the server listens.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let of_environment = || state::runtime_directory().unwrap_or_else(state::directory).join(NAME);
        self.socket.clone().unwrap_or_else(of_environment)
    }

    /// Where a server may listen, the likeliest first.
    #[must_use]
    pub fn candidates(&self) -> Vec<PathBuf> {
        let is_named = self.socket.is_some() || state::is_service();
        let of_service = (!is_named).then(|| PathBuf::from(OF_SERVICE));
        std::iter::once(self.path()).chain(of_service).collect()
    }
}

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Triplets with a text in one of their names: a [`store::Page`] of [`store::ListedTriplet`].
    Triplets {
        /// The text; all with none.
        filter: String,
        /// Where the page before ended.
        after: Option<Cursor>,
    },
    /// Clients with a text in their address: a [`store::Page`] of [`store::ListedClient`].
    Clients {
        /// The text; all with none.
        filter: String,
        /// Where the page before ended.
        after: Option<Cursor>,
    },
    /// Forget all of this name: the number of entries forgotten.
    Forget {
        /// A network, a sender, a recipient or a client's address.
        name: String,
    },
    /// What would follow from an attempt to deliver: [`store::Greylisted`].
    Peek {
        /// As in [`store::Attempt`], like all that follows.
        address: IpAddr,
        /// See there.
        client_name: String,
        /// See there.
        sender_address: String,
        /// See there.
        client: String,
        /// See there.
        network: String,
        /// See there.
        sender: String,
        /// See there.
        recipient: String,
        /// See there.
        now: SystemTime,
        /// See there.
        terms: Box<Terms>,
    },
    /// Never greylist what has this name, or no more so: whether that changes anything.
    Allow {
        /// Which.
        name: AllowedName,
        /// No more so.
        remove: bool,
    },
    /// The names that are allowed: [`store::Allowed`] of each.
    Allowed,
    /// How much is remembered: [`store::Stats`].
    Stats,
}

impl Request {
    /// What would follow from `attempt`.
    #[must_use]
    pub fn peek(attempt: &Attempt<'_>) -> Self {
        let &Attempt { address, client_name, sender_address, client, network, sender, recipient, now, terms } = attempt;
        let [client_name, sender_address] = [client_name, sender_address].map(str::to_owned);
        let [client, network, sender, recipient] = [client, network, sender, recipient].map(str::to_owned);
        Self::Peek {
            address,
            client_name,
            sender_address,
            client,
            network,
            sender,
            recipient,
            now,
            terms: Box::new(*terms),
        }
    }

    /// Whether the server is another afterwards.
    #[must_use]
    pub fn is_change(&self) -> bool {
        match self {
            Self::Triplets { .. } | Self::Clients { .. } | Self::Peek { .. } | Self::Allowed | Self::Stats => false,
            Self::Forget { .. } | Self::Allow { .. } => true,
        }
    }
}

/// What the server says: `{"ok": ...}` or `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// What was asked for.
    Ok(T),
    /// Why there is none.
    Error(String),
}
