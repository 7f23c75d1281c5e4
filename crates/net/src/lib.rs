//! The only code that listens: sockets, their limits, and the graceful stop; and the client of an administrator's own
//! services.
//!
//! [`bind`] opens what an endpoint of the configuration names, [`serve`] accepts connections and gives each to a
//! handler in a task of its own, on one of the [`Workers`]. [`Client`] asks, on connections that it keeps.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod idle;
mod listen;
mod serve;
mod stream;
mod unix;
mod workers;

pub use client::Client;
pub use idle::Idle;
pub use listen::{Action, Error, Listen, Listener, bind};
pub use serve::{Counters, Limits, serve};
pub use stream::{Peer, Stream};
pub use workers::Workers;
