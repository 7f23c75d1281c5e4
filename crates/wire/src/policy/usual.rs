//! Requests as Postfix writes them: whole, with every attribute in its order. Nearly all are, and each is read in half
//! the time that the [`Reader`](super::Reader) takes, who reads any.

use std::borrow::Cow;

use memchr::memchr;

use super::{LINE_LENGTH_MAX, Request};

/// The request at the front of `buffer`, and its length with its empty line, if it is as usual. If not, it may be one
/// all the same: so whatever is odd or too long is left to the reader, who knows what it is.
pub(super) fn usual(buffer: &[u8]) -> Option<(Request<'_>, usize)> {
    // Where all lines together are not too long, none is.
    let buffer = buffer.get(..LINE_LENGTH_MAX).unwrap_or(buffer);
    let text = str::from_utf8(buffer).ok().filter(|_| memchr(0, buffer).is_none())?;
    let mut lines = Lines { rest: text.strip_prefix("request=smtpd_access_policy\n")? };
    let request = Request {
        protocol_state: lines.value("protocol_state=")?,
        client_address: lines.after(["protocol_name="])?.value("client_address=")?,
        client_name: lines.value("client_name=")?,
        client_port: lines.value("client_port=")?,
        reverse_client_name: lines.value("reverse_client_name=")?,
        server_address: lines.value("server_address=")?,
        server_port: lines.value("server_port=")?,
        helo_name: lines.value("helo_name=")?,
        sender: lines.value("sender=")?,
        recipient: lines.value("recipient=")?,
        recipient_count: lines.value("recipient_count=")?,
        instance: lines.after(["queue_id="])?.value("instance=")?,
        etrn_domain: lines.after(["size="])?.value("etrn_domain=")?,
        sasl_username: lines.after(["stress=", "sasl_method="])?.value("sasl_username=")?,
        ccert_subject: lines.after(["sasl_sender="])?.value("ccert_subject=")?,
        ccert_fingerprint: lines.after(["ccert_issuer="])?.value("ccert_fingerprint=")?,
        ccert_pubkey_fingerprint: lines.value("ccert_pubkey_fingerprint=")?,
        encryption_protocol: lines.value("encryption_protocol=")?,
        policy_context: lines.after(["encryption_cipher=", "encryption_keysize="])?.value("policy_context=")?,
        policy_test_time: Cow::default(),
    };
    // Since Postfix 3.8.
    if lines.rest.starts_with("compatibility_level=") {
        lines.after(["compatibility_level=", "mail_version="])?;
    }
    Some((request, text.len() - lines.rest.strip_prefix('\n')?.len()))
}

/// The attributes of a request that were not looked at yet.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    /// The value of the attribute that comes next, if this is its name with the `=`.
    // In place, a name is compared without a call.
    #[inline(always)]
    fn value(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let behind = self.rest.strip_prefix(name)?;
        let (value, rest) = match behind.strip_prefix('\n') {
            Some(rest) => ("", rest),
            None => split_line(behind)?,
        };
        self.rest = rest;
        Some(Cow::Borrowed(value))
    }

    /// What stands behind attributes with these names.
    #[inline(always)]
    fn after<const N: usize>(&mut self, names: [&str; N]) -> Option<&mut Self> {
        for name in names {
            self.value(name)?;
        }
        Some(self)
    }
}

/// A line with the end that Postfix gives it, and what follows.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let (line, rest) = text.split_at_checked(memchr(b'\n', text.as_bytes())?)?;
    if line.ends_with('\r') { None } else { Some((line, rest.get(1..)?)) }
}
