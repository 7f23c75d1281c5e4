//! Postfix's policy delegation protocol (SMTPD_POLICY_README): attribute lines up to an empty line, answered by
//! one action.
//!
//! [`Reader`] reads requests as their bytes arrive, without copying; [`Request::question`] turns one into facts;
//! [`push_reply`] writes the answer. [`push_request`] and [`reply`] are the client's side.

mod client;
mod question;
mod reader;
#[cfg(test)]
mod tests;
mod usual;

use std::borrow::Cow;

use crate::push_printable;

pub use client::{REPLY_LENGTH_MAX, ReplyError, VALUE_LENGTH_MAX, push_request, reply};
pub use question::{ProtocolState, Question, Undecidable};
pub use reader::Reader;

/// The longest attribute line, in bytes without its newline. Postfix cuts what clients say at 2048
/// (`line_length_limit`).
pub const LINE_LENGTH_MAX: usize = 8 * 1024;
/// The most attributes of one request. Postfix 3.7 sends 31.
pub const ATTRIBUTES_MAX: usize = 100;
/// The longest request, in bytes with its empty line.
pub const REQUEST_LENGTH_MAX: usize = 64 * 1024;

/// What is no policy request. The connection cannot be trusted after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line over [`LINE_LENGTH_MAX`].
    #[error("a line is longer than {LINE_LENGTH_MAX} bytes")]
    LineTooLong,
    /// More than [`ATTRIBUTES_MAX`] attributes.
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    /// More than [`REQUEST_LENGTH_MAX`] bytes.
    #[error("a request is longer than {REQUEST_LENGTH_MAX} bytes")]
    RequestTooLong,
    /// A line that is no attribute.
    #[error("a line without \"=\"")]
    NoEqualsSign,
    /// A NUL, which Postfix cannot send.
    #[error("a NUL in a request")]
    Nul,
    /// `request=` says something else, or is missing.
    #[error("not a policy request: request=smtpd_access_policy is missing")]
    NotAPolicyRequest,
}

/// The attributes of a request that matter, as sent: empty where Postfix knows nothing. Bytes that are not UTF-8 are
/// replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// Where the session stands.
    pub protocol_state: Cow<'a, str>,
    /// The client's address, or `unknown`.
    pub client_address: Cow<'a, str>,
    /// The client's verified name, or `unknown`.
    pub client_name: Cow<'a, str>,
    /// The client's port, or `unknown`.
    pub client_port: Cow<'a, str>,
    /// The name in the client's PTR record, or `unknown`.
    pub reverse_client_name: Cow<'a, str>,
    /// The address to which the client has connected.
    pub server_address: Cow<'a, str>,
    /// The port to which it has connected.
    pub server_port: Cow<'a, str>,
    /// The argument of HELO or EHLO.
    pub helo_name: Cow<'a, str>,
    /// The reverse path; the null sender is empty as well.
    pub sender: Cow<'a, str>,
    /// The forward path.
    pub recipient: Cow<'a, str>,
    /// How many recipients were taken, from DATA on; 0 before it.
    pub recipient_count: Cow<'a, str>,
    /// Postfix's name for the mail transaction, at which its recipients are known to be of one message.
    pub instance: Cow<'a, str>,
    /// The argument of ETRN.
    pub etrn_domain: Cow<'a, str>,
    /// Who logged in.
    pub sasl_username: Cow<'a, str>,
    /// The common name of the client's certificate, if its issuer is trusted; in xtext (RFC 3461 §4).
    pub ccert_subject: Cow<'a, str>,
    /// The digest of the client's certificate.
    pub ccert_fingerprint: Cow<'a, str>,
    /// The digest of its public key.
    pub ccert_pubkey_fingerprint: Cow<'a, str>,
    /// The version of TLS; empty in plain text.
    pub encryption_protocol: Cow<'a, str>,
    /// What the administrator wrote into `smtpd_policy_service_policy_context`.
    pub policy_context: Cow<'a, str>,
    /// The time to decide by, in seconds since 1970: for tests, as postgrey takes it too.
    pub policy_test_time: Cow<'a, str>,
}

/// Appends the reply that carries `action` to `out`. Whatever the action holds, it stays one line: control
/// characters become spaces.
pub fn push_reply(action: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"action=");
    push_printable(action, out);
    out.extend_from_slice(b"\n\n");
}
