//! The other side of the protocol: the request as a client of a policy service writes it, and the reply as it reads it.

use std::fmt::Write as _;

use facts::{ClientName, Encryption, Facts, Stage};

use super::{LINE_LENGTH_MAX, ProtocolState, Question};

/// The longest value that is sent, in bytes; the rest is cut off. Postfix cuts what clients say at 2048
/// (`line_length_limit`).
pub const VALUE_LENGTH_MAX: usize = 2048;
/// The longest reply that is read, in bytes with its empty line.
pub const REPLY_LENGTH_MAX: usize = 16 * 1024;

/// Why bytes are no reply of a policy service. The connection cannot be trusted after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line over [`LINE_LENGTH_MAX`].
    #[error("a line of the reply is longer than {LINE_LENGTH_MAX} bytes")]
    LineTooLong,
    /// More than [`REPLY_LENGTH_MAX`] bytes.
    #[error("the reply is longer than {REPLY_LENGTH_MAX} bytes")]
    TooLong,
    /// A line that is no attribute.
    #[error("a line of the reply has no \"=\"")]
    NoEqualsSign,
    /// No `action=` before the empty line.
    #[error("the reply has no action")]
    NoAction,
    /// An action that is not UTF-8.
    #[error("the action is not UTF-8")]
    NotUtf8,
    /// Bytes after the empty line: nobody has asked for a second reply.
    #[error("more than one reply to one request")]
    TrailingBytes,
}

impl ProtocolState {
    /// Where a session stands at `stage` with these facts.
    #[must_use]
    pub fn at(stage: Stage, facts: &Facts) -> Self {
        match stage {
            Stage::Connect => Self::Connect,
            Stage::Helo => Self::Helo,
            Stage::Etrn => Self::Etrn,
            Stage::Mail => Self::Mail,
            // A recipient without a sender comes by VRFY alone.
            Stage::Rcpt if facts.envelope.is_none() => Self::Vrfy,
            Stage::Rcpt => Self::Rcpt,
            Stage::Data => Self::Data,
            Stage::EndOfData => Self::EndOfMessage,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Helo => "HELO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::EndOfMessage => "END-OF-MESSAGE",
            Self::Vrfy => "VRFY",
            Self::Etrn => "ETRN",
        }
    }
}

/// Appends the request that asks `question` to `out`: the attributes of Postfix 3.7 in its order, empty or 0 where
/// nobody told us. Whatever strangers have said, each stays one line: control characters become question marks.
pub fn push_request(Question { state, facts }: &Question, policy_context: &str, out: &mut Vec<u8>) {
    let client = &*facts.client;
    let envelope = facts.envelope.as_ref();
    let certificate = match &client.encryption {
        Encryption::Tls(certificate) => certificate.as_deref(),
        Encryption::Unknown | Encryption::Plaintext => None,
    };
    let mut push = |name: &str, value: &str| push_attribute(name, value, out);
    push("request", "smtpd_access_policy");
    push("protocol_state", state.as_str());
    push("protocol_name", "");
    push("client_address", &client.address.to_string());
    push("client_name", client.name.as_ref().map_or("", ClientName::as_str));
    push("client_port", &number(client.port.into(), ""));
    push("reverse_client_name", client.reverse_name.as_ref().map_or("", ClientName::as_str));
    push("server_address", "");
    push("server_port", "");
    push("helo_name", facts.greeting.as_ref().map_or("", |greeting| &greeting.helo_name));
    push("sender", envelope.and_then(|it| it.sender.as_ref()).map_or("", |sender| sender.as_str()));
    push("recipient", facts.recipient.as_ref().map_or("", |recipient| recipient.address.as_str()));
    let recipient_count = envelope.and_then(|it| it.recipient_count).filter(|_| state.counts_recipients());
    push("recipient_count", &number(recipient_count.unwrap_or(0), "0"));
    push("queue_id", "");
    push("instance", "");
    push("size", "0");
    push("etrn_domain", facts.etrn_domain.as_deref().unwrap_or_default());
    push("stress", "");
    push("sasl_method", "");
    push("sasl_username", facts.sasl_username.as_deref().unwrap_or_default());
    push("sasl_sender", "");
    push("ccert_subject", &certificate.and_then(|it| it.trusted_name.as_deref()).map(xtext).unwrap_or_default());
    push("ccert_issuer", "");
    push("ccert_fingerprint", certificate.map_or("", |it| &it.fingerprint));
    push("ccert_pubkey_fingerprint", certificate.map_or("", |it| &it.pubkey_fingerprint));
    // We do not know which version; but an empty value would say that there is no TLS.
    push("encryption_protocol", if matches!(client.encryption, Encryption::Tls(_)) { "TLS" } else { "" });
    push("encryption_cipher", "");
    push("encryption_keysize", "0");
    push("policy_context", policy_context);
    out.push(b'\n');
}

fn push_attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    let (value, _) = value.split_at(value.floor_char_boundary(VALUE_LENGTH_MAX));
    out.extend(value.bytes().map(|octet| if octet.is_ascii_control() { b'?' } else { octet }));
    out.push(b'\n');
}

fn number(number: u32, zero: &str) -> String {
    if number == 0 { zero.to_owned() } else { number.to_string() }
}

/// `text` in xtext: what is not printable, and `+` and `=`, as `+` and two hexadecimal digits (RFC 3461 §4).
fn xtext(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, octet| {
        if octet.is_ascii_graphic() && !matches!(octet, b'+' | b'=') {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "+{octet:02X}");
        }
        out
    })
}

/// The action in `buffer`, which holds what a service has sent since it was asked; `None` while the reply is not whole.
/// Other attributes are passed over. Of two actions the first counts.
///
/// # Errors
/// A limit is passed, or the reply is malformed.
pub fn reply(buffer: &[u8]) -> Result<Option<String>, ReplyError> {
    if buffer.len() > REPLY_LENGTH_MAX {
        return Err(ReplyError::TooLong);
    }
    let mut action = None;
    let mut lines = buffer.split(|octet| *octet == b'\n');
    // What follows the last newline is no line yet.
    let unfinished = lines.next_back().unwrap_or_default();
    while let Some(line) = lines.next() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let is_last = unfinished.is_empty() && lines.next().is_none();
            let whole = action.ok_or(ReplyError::NoAction)?;
            return if is_last { text(whole).map(Some) } else { Err(ReplyError::TrailingBytes) };
        }
        if line.len() > LINE_LENGTH_MAX {
            return Err(ReplyError::LineTooLong);
        }
        if !line.contains(&b'=') {
            return Err(ReplyError::NoEqualsSign);
        }
        action = action.or_else(|| line.strip_prefix(b"action="));
    }
    if unfinished.len() > LINE_LENGTH_MAX { Err(ReplyError::LineTooLong) } else { Ok(None) }
}

fn text(action: &[u8]) -> Result<String, ReplyError> {
    str::from_utf8(action).map(|action| action.trim_ascii().to_owned()).map_err(|_| ReplyError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use facts::{Certificate, Client, EmailAddress, Envelope, Greeting, Recipient};

    use super::super::Reader;
    use super::*;

    fn session(helo_name: &str) -> Facts {
        let certificate = Certificate {
            trusted_name: Some("a+b c".into()),
            fingerprint: "AA:BB".into(),
            pubkey_fingerprint: "CC".into(),
        };
        let client = Client {
            port: 2525,
            name: Some(ClientName::Known("mail.example".into())),
            reverse_name: Some(ClientName::Unknown),
            encryption: Encryption::Tls(Some(certificate.into())),
            ..Client::new("192.0.2.1".parse().unwrap())
        };
        Facts {
            greeting: Some(Greeting { helo_name: helo_name.into() }),
            envelope: Some(Envelope { sender: EmailAddress::new("a@example.com"), recipient_count: None }),
            sasl_username: Some("user".into()),
            recipient: EmailAddress::new("c@example.com").map(|address| Recipient { address }),
            ..Facts::new(client)
        }
    }

    fn request(facts: Facts, stage: Stage) -> Vec<u8> {
        let mut out = Vec::new();
        push_request(&Question { state: ProtocolState::at(stage, &facts), facts }, "context", &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = request(session("h.example"), Stage::Rcpt);
        let (request, length) = Reader::default().next(&written).unwrap().unwrap();
        assert_eq!((length, &*request.policy_context), (written.len(), "context"));
        let read = request.question().unwrap();
        let facts = session("h.example");
        assert_eq!((read.state, &read.facts.client), (ProtocolState::Rcpt, &facts.client));
        assert_eq!((read.facts.greeting, read.facts.envelope), (facts.greeting, facts.envelope));
        assert_eq!((read.facts.recipient, read.facts.sasl_username), (facts.recipient, facts.sasl_username));
    }

    /// Before DATA Postfix says 0, whatever it has taken.
    #[test]
    fn recipients_are_counted_from_data_on() {
        for (stage, expected) in [(Stage::Rcpt, "0"), (Stage::Data, "3"), (Stage::EndOfData, "3")] {
            let mut facts = session("h.example");
            facts.envelope = Some(Envelope { sender: None, recipient_count: Some(3) });
            let written = request(facts, stage);
            let (request, _) = Reader::default().next(&written).unwrap().unwrap();
            assert_eq!(request.recipient_count, expected, "{stage}");
        }
    }

    #[test]
    fn states() {
        let bare = Facts::new(Client::new("192.0.2.1".parse().unwrap()));
        for (stage, facts, expected) in [
            (Stage::Connect, &bare, "CONNECT"),
            (Stage::Helo, &bare, "HELO"),
            (Stage::Etrn, &bare, "ETRN"),
            (Stage::Mail, &bare, "MAIL"),
            (Stage::Rcpt, &bare, "VRFY"),
            (Stage::Rcpt, &session("h"), "RCPT"),
            (Stage::Data, &session("h"), "DATA"),
            (Stage::EndOfData, &session("h"), "END-OF-MESSAGE"),
        ] {
            let state = ProtocolState::at(stage, facts);
            assert_eq!(state.as_str(), expected);
            assert_eq!(ProtocolState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn nothing_from_a_stranger_breaks_a_line() {
        let garbage = format!("x\n\naction=OK\r\0\u{1b}{}", "ä".repeat(5000));
        let written = request(session(&garbage), Stage::Rcpt);
        assert!(written.ends_with(b"\n\n"));
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.matches("\n\n").count(), 1, "{text}");
        assert!(text.contains("\nhelo_name=x??action=OK???ä"), "{text}");
        assert!(text.lines().all(|line| line.len() < VALUE_LENGTH_MAX + 30));
    }

    #[test]
    fn replies() {
        let long = |length: usize| "x".repeat(length);
        for (bytes, expected) in [
            (String::new(), Ok(None)),
            ("action=DUN".into(), Ok(None)),
            ("action=DUNNO\n".into(), Ok(None)),
            ("action=DUNNO\n\n".into(), Ok(Some("DUNNO"))),
            ("action=  550 no \r\n\r\n".into(), Ok(Some("550 no"))),
            ("x=y\naction=OK\naction=REJECT\n\n".into(), Ok(Some("OK"))),
            ("action=\n\n".into(), Ok(Some(""))),
            ("\n".into(), Err(ReplyError::NoAction)),
            ("x=y\n\n".into(), Err(ReplyError::NoAction)),
            ("OK\n".into(), Err(ReplyError::NoEqualsSign)),
            ("action=OK\n\naction=OK\n\n".into(), Err(ReplyError::TrailingBytes)),
            ("action=OK\n\nx".into(), Err(ReplyError::TrailingBytes)),
            (long(LINE_LENGTH_MAX), Ok(None)),
            (long(LINE_LENGTH_MAX + 1), Err(ReplyError::LineTooLong)),
            (format!("a={}\n", long(LINE_LENGTH_MAX)), Err(ReplyError::LineTooLong)),
            ("a=b\n".repeat(REPLY_LENGTH_MAX / 4 + 1), Err(ReplyError::TooLong)),
        ] {
            assert_eq!(reply(bytes.as_bytes()), expected.map(|action| action.map(str::to_owned)), "{bytes:.80}");
        }
        assert_eq!(reply(b"action=\xff\n\n"), Err(ReplyError::NotUtf8));
    }
}
