//! The words that all of Portcullis shares: plain values, no I/O, nothing below them but serde.
//!
//! A session's facts grow by [`Stage`]: [`Client`] → [`Greeting`] → [`Envelope`] → [`Recipient`]. A restriction
//! turns them into a [`Finding`], the judge turns the findings into a [`Decision`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod decision;
mod dns_answer;
pub mod duration;
mod endpoint;
mod enforced;
mod finding;
mod greylisted;
pub mod hostname;
mod kept;
mod network;
mod session;
mod spelling;
mod terms;

pub use address::{EmailAddress, domain_of};
pub use decision::{Decision, DecisionId, Deferral, MessageAction, Reason, Reply, Verdict};
pub use dns_answer::{DnsAnswer, DnsFailure, Record, RecordType};
pub use endpoint::{Endpoint, host_port};
pub use enforced::{Effect, Enforced, Refusal};
pub use finding::{Evidence, Finding, Outcome};
pub use greylisted::{Allowance, Greylisted};
pub use kept::kept;
pub use network::{Network, NetworkList, NetworkPattern};
pub use session::{Certificate, Client, ClientName, Encryption, Envelope, Facts, Greeting, Recipient, Stage};
pub use spelling::closest;
pub use terms::Terms;
