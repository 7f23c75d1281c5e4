//! What a policy request asks: where the session stands, and the facts that are known there.

use std::hash::Hasher;
use std::sync::Arc;

use facts::{
    Certificate, Client, ClientName, EmailAddress, Encryption, Envelope, Facts, Greeting, Recipient, Stage, hostname,
};
use rustc_hash::FxHasher;

use super::Request;

/// Why a well-formed request leaves nothing to decide on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// Postfix writes `unknown` where the client was gone before it could be asked for its address, and where a
    /// proxy said so by XCLIENT. A decision without an address would skip every check on the client.
    #[error("the client's address is unknown")]
    NoClientAddress,
    /// A stage that this version does not know, or none.
    #[error("the protocol state is unknown")]
    UnknownProtocolState,
}

/// Where the SMTP session stands, in Postfix's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolState {
    /// `CONNECT`
    Connect,
    /// `HELO` and `EHLO`
    Helo,
    /// `MAIL`
    Mail,
    /// `RCPT`
    Rcpt,
    /// `DATA`, and `BDAT` from versions that do not rename it
    Data,
    /// `END-OF-MESSAGE`
    EndOfMessage,
    /// `VRFY`: a recipient without a sender
    Vrfy,
    /// `ETRN`
    Etrn,
}

impl ProtocolState {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "CONNECT" => Self::Connect,
            "HELO" | "EHLO" => Self::Helo,
            "MAIL" => Self::Mail,
            "RCPT" => Self::Rcpt,
            "DATA" | "BDAT" => Self::Data,
            "END-OF-MESSAGE" => Self::EndOfMessage,
            "VRFY" => Self::Vrfy,
            "ETRN" => Self::Etrn,
            _ => return None,
        })
    }

    /// Whether Postfix tells how many recipients it has taken: not before all are known.
    pub(super) fn counts_recipients(self) -> bool {
        matches!(self, Self::Data | Self::EndOfMessage)
    }

    /// The stage whose lists apply. Postfix checks VRFY as it does RCPT.
    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::Connect => Stage::Connect,
            Self::Helo => Stage::Helo,
            Self::Etrn => Stage::Etrn,
            Self::Mail => Stage::Mail,
            Self::Rcpt | Self::Vrfy => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::EndOfMessage => Stage::EndOfData,
        }
    }
}

/// What a request asks.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the session stands.
    pub state: ProtocolState,
    /// What is known of it.
    pub facts: Facts,
}

impl Request<'_> {
    /// What is asked: the facts that are known at the request's protocol state.
    ///
    /// # Errors
    /// There is nothing to decide on. Whoever asks must then be told to try again: a permit would open the gate to
    /// whoever can hide, a rejection would lose mail.
    pub fn question(&self) -> Result<Question, Undecidable> {
        use ProtocolState::{Data, EndOfMessage, Mail, Rcpt, Vrfy};

        let state = ProtocolState::parse(&self.protocol_state).ok_or(Undecidable::UnknownProtocolState)?;
        let mut facts = Facts::new(self.client()?);
        if state != ProtocolState::Connect && !self.helo_name.is_empty() {
            facts.greeting = Some(Greeting { helo_name: shared(&self.helo_name, facts.client.name.as_ref()) });
        }
        facts.sasl_username = text(&self.sasl_username);
        if matches!(state, Mail | Rcpt | Data | EndOfMessage) {
            facts.envelope = Some(self.envelope(state));
        }
        // From DATA on Postfix names the recipient only where there is just one.
        if matches!(state, Rcpt | Vrfy | Data | EndOfMessage) {
            facts.recipient = EmailAddress::new(&self.recipient).map(|address| Recipient { address });
        }
        facts.instance = (!self.instance.is_empty()).then(|| hash(&self.instance));
        if state == ProtocolState::Etrn {
            facts.etrn_domain = text(&self.etrn_domain);
        }
        Ok(Question { state, facts })
    }

    fn client(&self) -> Result<Client, Undecidable> {
        let address = hostname::parse_address(&self.client_address).ok_or(Undecidable::NoClientAddress)?;
        let name = client_name(&self.client_name, None);
        Ok(Client {
            port: self.client_port.parse().unwrap_or(0),
            reverse_name: client_name(&self.reverse_client_name, name.as_ref()),
            name,
            encryption: self.encryption(),
            ..Client::new(address)
        })
    }

    fn encryption(&self) -> Encryption {
        if self.encryption_protocol.is_empty() {
            return Encryption::Plaintext;
        }
        let has_certificate = !self.ccert_fingerprint.is_empty() || !self.ccert_pubkey_fingerprint.is_empty();
        Encryption::Tls(has_certificate.then(|| {
            Box::new(Certificate {
                trusted_name: (!self.ccert_subject.is_empty()).then(|| from_xtext(&self.ccert_subject)),
                fingerprint: self.ccert_fingerprint.as_ref().into(),
                pubkey_fingerprint: self.ccert_pubkey_fingerprint.as_ref().into(),
            })
        }))
    }

    fn envelope(&self, state: ProtocolState) -> Envelope {
        Envelope {
            sender: EmailAddress::new(&self.sender),
            recipient_count: if state.counts_recipients() { self.recipient_count.parse().ok() } else { None },
        }
    }
}

fn hash(value: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(value.as_bytes());
    hasher.finish()
}

fn text(value: &str) -> Option<Arc<str>> {
    (!value.is_empty()).then(|| value.into())
}

/// Postfix says `unknown` both where there is no name and where the DNS failed. Without the attribute (Postfix
/// before 2.2 has no reverse name) nobody has looked.
fn client_name(value: &str, other: Option<&ClientName>) -> Option<ClientName> {
    match value {
        "" => None,
        "unknown" => Some(ClientName::Unknown),
        name => Some(ClientName::Known(shared(name, other))),
    }
}

/// `value`, in the memory of the other name if that is the same: most clients have but one.
fn shared(value: &str, other: Option<&ClientName>) -> Arc<str> {
    match other {
        Some(ClientName::Known(name)) if **name == *value => Arc::clone(name),
        _ => value.into(),
    }
}

/// What `text` spells in xtext: `+20` is a space (RFC 3461 §4). Where it is none, `text` as it stands.
fn from_xtext(text: &str) -> Box<str> {
    let mut parts = text.split('+');
    let mut octets = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let Some((octet, rest)) =
            part.split_at_checked(2).and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 16).ok()?, rest)))
        else {
            return text.into();
        };
        octets.push(octet);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&octets).into()
}
