//! Postfix's policy delegation protocol (SMTPD_POLICY_README): attribute lines up to an empty line, answered by
//! one action.
//!
//! [`Reader`] reads requests as their bytes arrive, without copying; [`Request::question`] turns one into facts;
//! [`push_reply`] writes the answer. [`push_request`] and [`reply`] are the client's side.

mod client;
mod question;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::push_printable;

pub use client::{REPLY_LENGTH_MAX, ReplyError, VALUE_LENGTH_MAX, push_request, reply};
pub use question::{ProtocolState, Question, Undecidable};

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

/// Reads requests out of bytes that arrive in pieces. It remembers how far it has looked, so that bytes that trickle in
/// cost no more than bytes that come at once.
#[derive(Debug, Default)]
pub struct Reader {
    searched: usize,
    line_start: usize,
    /// How many attributes have arrived.
    attributes: usize,
    /// Where the values stand that matter; nowhere as long as they are empty.
    values: Attributes<Range<usize>>,
}

impl Reader {
    /// The request at the front of `buffer`, and its length with its empty line; `None` while that is missing. Between
    /// two calls `buffer` may only grow, until a request was found: then the next one starts at its front.
    ///
    /// Attributes come in any order; unknown ones, of later versions, are passed over. Of an attribute that comes twice
    /// the first value counts, which the protocol leaves to us: Postfix writes what it knows of the client before the
    /// login name, so that a line break smuggled in there cannot override it.
    ///
    /// # Errors
    /// A limit is passed, or the request is malformed. Nothing after it can be read.
    pub fn next<'a>(&mut self, buffer: &'a [u8]) -> Result<Option<(Request<'a>, usize)>, Error> {
        while let Some(newline) = memchr(b'\n', buffer.get(self.searched..).unwrap_or_default()) {
            let line_end = self.searched + newline;
            self.check_limits(line_end)?;
            let line = buffer.get(self.line_start..line_end).unwrap_or_default();
            let bare = line.strip_suffix(b"\r").unwrap_or(line);
            if bare.is_empty() {
                let values = std::mem::take(self).values;
                let request = values.request_in(buffer.get(..line_end).unwrap_or_default())?;
                return Ok(Some((request, line_end + 1)));
            }
            self.add_attribute(bare)?;
            (self.searched, self.line_start) = (line_end + 1, line_end + 1);
        }
        self.searched = buffer.len();
        self.check_limits(buffer.len())?;
        Ok(None)
    }

    /// Notes the attribute on the line that starts at `line_start`.
    fn add_attribute(&mut self, line: &[u8]) -> Result<(), Error> {
        // No search for a character: names are too short to be worth its preparations.
        let equals_sign = line.iter().position(|octet| *octet == b'=').ok_or(Error::NoEqualsSign)?;
        self.attributes += 1;
        let value = self.line_start + equals_sign + 1..self.line_start + line.len();
        if value.start < value.end
            && let Some(first) = self.values.named(&line[..equals_sign])
            && first.end == 0
        {
            *first = value;
        }
        Ok(())
    }

    /// `line_end`: up to where the line that starts at `line_start` has arrived.
    fn check_limits(&self, line_end: usize) -> Result<(), Error> {
        if line_end >= REQUEST_LENGTH_MAX {
            Err(Error::RequestTooLong)
        } else if line_end - self.line_start > LINE_LENGTH_MAX {
            Err(Error::LineTooLong)
        } else if self.attributes > ATTRIBUTES_MAX {
            Err(Error::TooManyAttributes)
        } else {
            Ok(())
        }
    }
}

/// The attributes of a request that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes<T> {
    /// What is asked for: `smtpd_access_policy`.
    pub request: T,
    /// Where the session stands.
    pub protocol_state: T,
    /// The client's address, or `unknown`.
    pub client_address: T,
    /// The client's verified name, or `unknown`.
    pub client_name: T,
    /// The client's port, or `unknown`.
    pub client_port: T,
    /// The name in the client's PTR record, or `unknown`.
    pub reverse_client_name: T,
    /// The argument of HELO or EHLO.
    pub helo_name: T,
    /// The reverse path; the null sender is empty as well.
    pub sender: T,
    /// The forward path.
    pub recipient: T,
    /// How many recipients were taken, from DATA on; 0 before it.
    pub recipient_count: T,
    /// Postfix's name for the mail transaction, at which its recipients are known to be of one message.
    pub instance: T,
    /// The argument of ETRN.
    pub etrn_domain: T,
    /// Who logged in.
    pub sasl_username: T,
    /// The common name of the client's certificate, if its issuer is trusted; in xtext (RFC 3461 §4).
    pub ccert_subject: T,
    /// The digest of the client's certificate.
    pub ccert_fingerprint: T,
    /// The digest of its public key.
    pub ccert_pubkey_fingerprint: T,
    /// The version of TLS; empty in plain text.
    pub encryption_protocol: T,
    /// What the administrator wrote into `smtpd_policy_service_policy_context`.
    pub policy_context: T,
    /// The time to decide by, in seconds since 1970: for tests, as postgrey takes it too.
    pub policy_test_time: T,
}

/// A request, its values as sent: empty where Postfix knows nothing. Bytes that are not UTF-8 are replaced.
pub type Request<'a> = Attributes<Cow<'a, str>>;

impl<T> Attributes<T> {
    fn named(&mut self, name: &[u8]) -> Option<&mut T> {
        Some(match name {
            b"request" => &mut self.request,
            b"protocol_state" => &mut self.protocol_state,
            b"client_address" => &mut self.client_address,
            b"client_name" => &mut self.client_name,
            b"client_port" => &mut self.client_port,
            b"reverse_client_name" => &mut self.reverse_client_name,
            b"helo_name" => &mut self.helo_name,
            b"sender" => &mut self.sender,
            b"recipient" => &mut self.recipient,
            b"recipient_count" => &mut self.recipient_count,
            b"instance" => &mut self.instance,
            b"etrn_domain" => &mut self.etrn_domain,
            b"sasl_username" => &mut self.sasl_username,
            b"ccert_subject" => &mut self.ccert_subject,
            b"ccert_fingerprint" => &mut self.ccert_fingerprint,
            b"ccert_pubkey_fingerprint" => &mut self.ccert_pubkey_fingerprint,
            b"encryption_protocol" => &mut self.encryption_protocol,
            b"policy_context" => &mut self.policy_context,
            b"policy_test_time" => &mut self.policy_test_time,
            _ => return None,
        })
    }

    fn map<U>(self, value: impl Fn(T) -> U) -> Attributes<U> {
        Attributes {
            request: value(self.request),
            protocol_state: value(self.protocol_state),
            client_address: value(self.client_address),
            client_name: value(self.client_name),
            client_port: value(self.client_port),
            reverse_client_name: value(self.reverse_client_name),
            helo_name: value(self.helo_name),
            sender: value(self.sender),
            recipient: value(self.recipient),
            recipient_count: value(self.recipient_count),
            instance: value(self.instance),
            etrn_domain: value(self.etrn_domain),
            sasl_username: value(self.sasl_username),
            ccert_subject: value(self.ccert_subject),
            ccert_fingerprint: value(self.ccert_fingerprint),
            ccert_pubkey_fingerprint: value(self.ccert_pubkey_fingerprint),
            encryption_protocol: value(self.encryption_protocol),
            policy_context: value(self.policy_context),
            policy_test_time: value(self.policy_test_time),
        }
    }
}

impl Attributes<Range<usize>> {
    /// The request in `bytes`, where its values stand.
    fn request_in(self, bytes: &[u8]) -> Result<Request<'_>, Error> {
        if memchr(0, bytes).is_some() {
            return Err(Error::Nul);
        }
        // Checked once for all values: only what a stranger has garbled takes longer.
        let request = match str::from_utf8(bytes) {
            Ok(text) => self.map(|value| Cow::Borrowed(text.get(value).unwrap_or_default())),
            Err(_) => self.map(|value| String::from_utf8_lossy(bytes.get(value).unwrap_or_default())),
        };
        if request.request == "smtpd_access_policy" { Ok(request) } else { Err(Error::NotAPolicyRequest) }
    }
}

/// Appends the reply that carries `action` to `out`. Whatever the action holds, it stays one line: control
/// characters become spaces.
pub fn push_reply(action: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"action=");
    push_printable(action, out);
    out.extend_from_slice(b"\n\n");
}
