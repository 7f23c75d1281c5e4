//! What was found, what follows from it, and the id under which it can be found again.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::{Enforced, Finding, Stage};

/// What becomes of a session, a recipient or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing speaks against it.
    Permit,
    /// Not now: a 4xx reply.
    Defer,
    /// No: a 5xx reply.
    Reject,
    /// Take the message and keep it aside for the administrator.
    Hold,
    /// Take the message and throw it away.
    Discard,
}

impl Verdict {
    /// Its name in logs and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Defer => "defer",
            Self::Reject => "reject",
            Self::Hold => "hold",
            Self::Discard => "discard",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a verdict fell: a closed list, for logs, counters and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No restriction objected.
    NoObjection,
    /// A bare `permit`, `reject`, `defer` or its like in a list.
    Configured,
    /// The client is in `mynetworks`.
    OwnNetwork,
    /// The client has logged in.
    Authenticated,
    /// The client is this host itself.
    OwnAddress,
    /// The client has shown a certificate that we know or trust.
    Certificate,
    /// The recipient is ours, or one that we pass mail on to.
    OwnDestination,
    /// We are a backup for the recipient's domain.
    BackupMx,
    /// A row of an access table.
    AccessTable,
    /// An administrator's own policy service.
    PolicyService,
    /// A DNS list of welcome hosts.
    WelcomeListed,
    /// A sender that is not known must come back later.
    Greylisted,
    /// A DNS block list.
    BlockListed,
    /// The client has no PTR record.
    ReverseNameMissing,
    /// The client's name does not lead back to its address.
    ClientNameMissing,
    /// No HELO, where one is required.
    HeloMissing,
    /// A HELO name that is no name.
    HeloInvalid,
    /// A HELO name without a domain.
    HeloNotFqdn,
    /// A HELO name that the DNS does not know.
    HeloUnknown,
    /// A sender without a full domain.
    SenderNotFqdn,
    /// A sender's domain that the DNS does not know.
    SenderDomainUnknown,
    /// A sender's domain that takes no mail (RFC 7505).
    SenderDomainNullMx,
    /// A recipient without a full domain.
    RecipientNotFqdn,
    /// A recipient's domain that the DNS does not know.
    RecipientDomainUnknown,
    /// A recipient's domain that takes no mail (RFC 7505).
    RecipientDomainNullMx,
    /// A recipient that is not ours, from a client that is not ours.
    RelayDenied,
    /// A recipient that no table of ours knows.
    RecipientUnknown,
    /// A sender of ours that no table of ours knows.
    SenderUnknown,
    /// A sender that is somebody else's than the login's.
    SenderNotOwned,
    /// A session in plain text.
    Plaintext,
    /// The null sender writes to several recipients.
    MultiRecipientBounce,
    /// The DNS could not answer a question on which it hangs.
    DnsFailure,
    /// A table, or a list of networks, could not be read.
    TableFailure,
    /// A policy service did not answer.
    PolicyFailure,
    /// No decision in time.
    Deadline,
    /// A fault of ours.
    Fault,
}

impl Reason {
    /// Its name in logs and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoObjection => "no_objection",
            Self::Configured => "configured",
            Self::OwnNetwork => "own_network",
            Self::Authenticated => "authenticated",
            Self::OwnAddress => "own_address",
            Self::Certificate => "certificate",
            Self::OwnDestination => "own_destination",
            Self::BackupMx => "backup_mx",
            Self::AccessTable => "access_table",
            Self::PolicyService => "policy_service",
            Self::WelcomeListed => "welcome_listed",
            Self::Greylisted => "greylisted",
            Self::BlockListed => "block_listed",
            Self::ReverseNameMissing => "reverse_name_missing",
            Self::ClientNameMissing => "client_name_missing",
            Self::HeloMissing => "helo_missing",
            Self::HeloInvalid => "helo_invalid",
            Self::HeloNotFqdn => "helo_not_fqdn",
            Self::HeloUnknown => "helo_unknown",
            Self::SenderNotFqdn => "sender_not_fqdn",
            Self::SenderDomainUnknown => "sender_domain_unknown",
            Self::SenderDomainNullMx => "sender_domain_null_mx",
            Self::RecipientNotFqdn => "recipient_not_fqdn",
            Self::RecipientDomainUnknown => "recipient_domain_unknown",
            Self::RecipientDomainNullMx => "recipient_domain_null_mx",
            Self::RelayDenied => "relay_denied",
            Self::RecipientUnknown => "recipient_unknown",
            Self::SenderUnknown => "sender_unknown",
            Self::SenderNotOwned => "sender_not_owned",
            Self::Plaintext => "plaintext",
            Self::MultiRecipientBounce => "multi_recipient_bounce",
            Self::DnsFailure => "dns_failure",
            Self::TableFailure => "table_failure",
            Self::PolicyFailure => "policy_failure",
            Self::Deadline => "deadline",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An SMTP reply line: `550 5.7.1 Access denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The SMTP code, 400 to 599.
    pub code: u16,
    /// The enhanced status code (RFC 3463); its first digit is that of `code`.
    pub enhanced: Box<str>,
    /// What the sender's administrator reads.
    pub text: Box<str>,
}

impl Reply {
    /// A reply whose enhanced code follows the class of `code`: `(450, "5.1.2", …)` is sent as `450 4.1.2`.
    #[must_use]
    pub fn new(code: u16, enhanced: &str, text: impl Into<Box<str>>) -> Self {
        let class = if code < 500 { "4." } else { "5." };
        let enhanced = if enhanced.starts_with(class) {
            enhanced.into()
        } else {
            let detail = enhanced.split_once('.').map_or("0.0", |(_, detail)| detail);
            [class, detail].concat().into()
        };
        Self { code, enhanced, text: text.into() }
    }

    /// Whether the client may try again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.code < 500
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is done with a message that may go on, by a row of an access table (access(5)). The text is that of the row,
/// whatever strangers had a part in it through a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageAction {
    /// Send it through `transport:destination` first.
    Filter(Box<str>),
    /// Send it to this address instead of its recipients.
    Redirect(Box<str>),
    /// Send a copy to this address.
    Bcc(Box<str>),
    /// Put this header before the others.
    Prepend(Box<str>),
}

impl fmt::Display for MessageAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, text) = match self {
            Self::Filter(text) => ("FILTER", text),
            Self::Redirect(text) => ("REDIRECT", text),
            Self::Bcc(text) => ("BCC", text),
            Self::Prepend(text) => ("PREPEND", text),
        };
        write!(f, "{verb} {text}")
    }
}

impl Serialize for MessageAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What Postfix must be told where more of its lists follow ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// The verdict says it all.
    None,
    /// The verdict is a deferral only as long as nobody rejects.
    IfPermit,
    /// The verdict is a permit, but a later rejection must become this deferral.
    IfReject(Reply),
}

/// A verdict with its reason and all its findings. In shadow it is what would have become of the mail, but for
/// [`Self::enforced`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The id that the client sees in the reply.
    pub id: DecisionId,
    /// When it was taken.
    pub time: SystemTime,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What the client is told, without the id; `None` where the mail goes on.
    pub reply: Option<Reply>,
    /// Whether and how later lists of Postfix may change it.
    pub deferral: Deferral,
    /// The stage at which it was settled.
    pub stage: Stage,
    /// The restriction that settled it, with its arguments; `None` where none objected.
    pub restriction: Option<&'static str>,
    /// Why.
    pub reason: Reason,
    /// What is done with the message, in the order of the rows that want it.
    pub actions: Vec<MessageAction>,
    /// What each restriction found, in order.
    pub findings: Vec<Finding>,
    /// How many questions were sent to the DNS for this decision; answers from the cache count 0.
    pub dns_queries: u32,
    /// How much of it is carried out.
    pub enforced: Enforced,
}

/// The name of a decision: 13 characters that sort by time, made to be read aloud (Crockford's base 32).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(u64);

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl DecisionId {
    /// How many characters it has.
    pub const LENGTH: usize = 13;

    /// An id from the time and a number that differs for decisions of the same millisecond: 42 bits of
    /// milliseconds, 22 bits of `distinct`.
    #[must_use]
    pub fn new(now: SystemTime, distinct: u32) -> Self {
        let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self(millis << 22 | u64::from(distinct) & 0x3F_FFFF)
    }

    /// The same as a number, which sorts alike.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id of this [`Self::number`].
    #[must_use]
    pub const fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// Its characters, written into `buffer`.
    pub fn encode(self, buffer: &mut [u8; Self::LENGTH]) -> &str {
        let mut rest = self.0;
        for character in buffer.iter_mut().rev() {
            *character = CROCKFORD[(rest & 31) as usize];
            rest >>= 5;
        }
        str::from_utf8(buffer).expect("Crockford's characters are ASCII")
    }

    /// The time that it holds, in whole milliseconds.
    #[must_use]
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0 >> 22)
    }
}

/// Reads an id in any case; `I` and `L` are taken for 1, `O` for 0, as Crockford has it.
impl FromStr for DecisionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |octet: u8| {
            let octet = match octet.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                other => other,
            };
            CROCKFORD.iter().position(|sign| *sign == octet).map(|value| value as u128)
        };
        let number = text.bytes().try_fold(0, |number: u128, octet| Some(number << 5 | value(octet)?));
        let number = number.filter(|_| text.len() == Self::LENGTH).and_then(|number| u64::try_from(number).ok());
        number.map(Self).ok_or_else(|| "an id has 13 letters and digits, like 6GSD39SFC0007".into())
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; Self::LENGTH]))
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DecisionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_enhanced_code_follows_the_class() {
        assert_eq!(Reply::new(450, "5.1.8", "later").to_string(), "450 4.1.8 later");
        assert_eq!(Reply::new(550, "4.7.1", "no").to_string(), "550 5.7.1 no");
    }

    #[test]
    fn ids_sort_by_time() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let (first, second) = (DecisionId::new(at(1_800_000_000), 7), DecisionId::new(at(1_800_000_001), 1));
        assert!(first.to_string() < second.to_string());
        assert_eq!(first.to_string().len(), 13);
        assert_ne!(first, DecisionId::new(at(1_800_000_000), 8));
    }

    #[test]
    fn ids_are_read_as_they_are_told() {
        let id = DecisionId::new(UNIX_EPOCH + Duration::from_millis(1_793_527_200_123), 0x3F_FFFF);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_lowercase().replace('1', "l").replace('0', "o").parse(), Ok(id));
        assert_eq!(id.time(), UNIX_EPOCH + Duration::from_millis(1_793_527_200_123));
        for bad in ["", "6GSD39SFC000", "6GSD39SFC00070", "6GSD39SFC000!", "ZZZZZZZZZZZZZ", "6GSD39SFC000é"] {
            assert!(bad.parse::<DecisionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn words_in_logs_are_those_of_json() {
        assert_eq!(Reason::RecipientDomainNullMx.to_string(), "recipient_domain_null_mx");
    }
}
