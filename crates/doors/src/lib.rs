//! Protocol to facts to judge to reply: the doors through which Postfix and mail clients talk to us.
//!
//! All doors share one [`Gate`]: the settings, the DNS, the log of decisions. [`policy`] serves Postfix's policy
//! protocol, [`milter`] the milter protocol, [`record`] writes the log line of a decision. Where both doors are told of one
//! session, `seam` sees to it that it is judged once.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connection;
mod fault;
mod gate;
pub mod matrix;
pub mod milter;
mod outside;
pub mod policy;
pub mod record;
mod reply;
mod report;
mod seam;
mod socket;
#[cfg(test)]
mod testing;

pub use gate::{Counters, Gate};
pub use report::{Report, ascii_json};
pub use socket::SocketMode;
