//! The lists of restrictions, and which of them a session meets.

use super::kinds::{Kind, Subject};
use super::session::{Purpose, Session};

/// A list of restrictions, by Postfix's name for it: `smtpd_client_restrictions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Client,
    Helo,
    Sender,
    Relay,
    Recipient,
    Data,
    EndOfData,
    Etrn,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Client, Self::Helo, Self::Sender, Self::Relay, Self::Recipient, Self::Data, Self::EndOfData, Self::Etrn];

    /// Its key in our configuration.
    pub fn key(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Helo => "helo",
            Self::Sender => "sender",
            Self::Relay => "relay",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::EndOfData => "end_of_data",
            Self::Etrn => "etrn",
        }
    }

    /// Postfix's parameter.
    pub fn parameter(self) -> String {
        format!("smtpd_{}_restrictions", self.key())
    }

    /// Whether it speaks before a message is sent.
    pub fn is_before_data(self) -> bool {
        !matches!(self, Self::Data | Self::EndOfData)
    }

    /// The lists that a session meets, in their order.
    pub fn met_by(session: &Session, relay_before_recipient: bool) -> Vec<Self> {
        let rcpt = if relay_before_recipient { [Self::Relay, Self::Recipient] } else { [Self::Recipient, Self::Relay] };
        match session.purpose {
            Purpose::Etrn(_) => vec![Self::Client, Self::Helo, Self::Etrn],
            Purpose::Vrfy => [&[Self::Client, Self::Helo], &rcpt[..]].concat(),
            Purpose::Mail => {
                [&[Self::Client, Self::Helo, Self::Sender], &rcpt[..], &[Self::Data, Self::EndOfData]].concat()
            }
        }
    }

    /// The first list in which the facts are known that `kind` looks at.
    pub fn first(kind: &Kind, delay_reject: bool) -> Self {
        match kind.subject {
            // At RCPT, Postfix knows what a policy server does not.
            Subject::Recipients => Self::Data,
            // Before its sender list Postfix looks at a mark that it has not set yet.
            Subject::Sender if kind.name == "reject_unlisted_sender" => Self::Sender,
            _ if delay_reject => Self::Client,
            Subject::Helo => Self::Helo,
            // Before STARTTLS there is a first HELO.
            Subject::Login | Subject::Encryption | Subject::Sender => Self::Sender,
            Subject::Recipient => Self::Relay,
            Subject::Etrn => Self::Etrn,
            _ => Self::Client,
        }
    }

    /// Postfix's `protocol_state` when it speaks.
    pub fn state(self, session: &Session, delay_reject: bool) -> &'static str {
        match self {
            Self::Data => "DATA",
            Self::EndOfData => "END-OF-MESSAGE",
            Self::Etrn => "ETRN",
            _ if delay_reject && matches!(session.purpose, Purpose::Etrn(_)) => "ETRN",
            Self::Client if !delay_reject => "CONNECT",
            Self::Helo if !delay_reject => "HELO",
            Self::Sender if !delay_reject => "MAIL",
            _ if session.purpose == Purpose::Vrfy => "VRFY",
            _ => "RCPT",
        }
    }
}
