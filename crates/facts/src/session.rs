//! What is known of an SMTP session, stage by stage.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::EmailAddress;

/// How far a session has come. Later stages know what the earlier ones knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The client has connected.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// ETRN: it comes without a sender and without a recipient.
    Etrn,
    /// MAIL FROM.
    Mail,
    /// RCPT TO, once for each recipient.
    Rcpt,
    /// DATA.
    Data,
    /// The dot after the message.
    EndOfData,
}

impl Stage {
    /// Its name in logs and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Etrn => "etrn",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end_of_data",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a client, or why it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientName {
    /// The name, as the DNS or Postfix spelt it.
    Known(Arc<str>),
    /// There is none, for sure (no PTR, or a name that does not lead back).
    Unknown,
    /// The DNS could not say now.
    Unclear,
}

impl ClientName {
    /// The name, or Postfix's word `unknown`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Unknown | Self::Unclear => "unknown",
        }
    }
}

/// Whether a session is encrypted. Known from connect on with TLS from the start, after STARTTLS otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody told.
    #[default]
    Unknown,
    /// Everybody on the way can read it.
    Plaintext,
    /// TLS, and the client's certificate if it has shown one. In a box, because hardly any client does.
    Tls(Option<Box<Certificate>>),
}

/// The certificate that a client has shown. Whoever has its key holds it, whether we trust its issuer or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The common name, if the issuer is trusted (Postfix: `ccert_subject`).
    pub trusted_name: Option<Box<str>>,
    /// The digest of the certificate, in Postfix's hexadecimal digits with colons; empty where nobody told.
    pub fingerprint: Box<str>,
    /// The digest of its public key; empty where nobody told.
    pub pubkey_fingerprint: Box<str>,
}

/// Who connected: known at [`Stage::Connect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address; an IPv4 address is never dressed as IPv6.
    pub address: IpAddr,
    /// The client's port, 0 where nobody told.
    pub port: u16,
    /// The name that the PTR record gives and that leads back to the address (Postfix: `client_name`).
    /// `None`: nobody has looked yet.
    pub name: Option<ClientName>,
    /// The name that the PTR record gives (Postfix: `reverse_client_name`). `None`: nobody has looked yet.
    pub reverse_name: Option<ClientName>,
    /// Whether the session is encrypted.
    pub encryption: Encryption,
}

impl Client {
    /// A client of whom nothing but the address is known.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
            port: 0,
            name: None,
            reverse_name: None,
            encryption: Encryption::Unknown,
        }
    }
}

/// What the client called itself: known at [`Stage::Helo`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The argument of HELO or EHLO, verbatim: it may be anything.
    pub helo_name: Arc<str>,
}

/// Whose mail it is: known at [`Stage::Mail`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse path; `None` is the null sender `<>`.
    pub sender: Option<EmailAddress>,
    /// How many recipients were taken, from [`Stage::Data`] on (Postfix: `recipient_count`). `None`: nobody told.
    pub recipient_count: Option<u32>,
}

/// One receiver: known at [`Stage::Rcpt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The forward path.
    pub address: EmailAddress,
}

/// All that is known of a session now. Clones are cheap: the texts are shared.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who connected.
    pub client: Arc<Client>,
    /// What it called itself, once it has.
    pub greeting: Option<Greeting>,
    /// Who logged in, if anybody: before MAIL, VRFY or ETRN (Postfix: `sasl_username`).
    pub sasl_username: Option<Arc<str>>,
    /// The sender, once MAIL was said.
    pub envelope: Option<Envelope>,
    /// The recipient in question, at RCPT; and the only one, where there is one, from DATA on.
    pub recipient: Option<Recipient>,
    /// The argument of ETRN, where that is what the client said.
    pub etrn_domain: Option<Arc<str>>,
    /// Tells messages apart (a hash of the policy protocol's `instance`). `None`: nobody told.
    pub instance: Option<u64>,
}

impl Facts {
    /// What of these facts is known at `stage`.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Self {
        Self {
            client: Arc::clone(&self.client),
            greeting: self.greeting.clone().filter(|_| stage >= Stage::Helo),
            sasl_username: self.sasl_username.clone().filter(|_| stage >= Stage::Etrn),
            envelope: self.envelope.clone().filter(|_| stage >= Stage::Mail),
            recipient: self.recipient.clone().filter(|_| stage >= Stage::Rcpt),
            etrn_domain: self.etrn_domain.clone().filter(|_| stage >= Stage::Etrn),
            instance: self.instance,
        }
    }

    /// The facts at connect.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client: Arc::new(client),
            greeting: None,
            sasl_username: None,
            envelope: None,
            recipient: None,
            etrn_domain: None,
            instance: None,
        }
    }
}
