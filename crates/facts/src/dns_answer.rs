//! An answer of the DNS, in the words of whoever reads evidence.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The types of records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// An IPv4 address, and the answer of a DNS list.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Name servers.
    Ns,
    /// The name of an address.
    Ptr,
    /// Text: a DNS list's reason, SPF, DKIM keys, DMARC policies.
    Txt,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
        })
    }
}

/// One record of an answer. Names are ASCII without the trailing dot, as the DNS spells them; the root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host; empty for a null MX (RFC 7505).
        exchange: Box<str>,
    },
    /// A name server.
    Ns(Box<str>),
    /// The name of an address.
    Ptr(Box<str>),
    /// The strings of one TXT record, joined; octets that are not UTF-8 replaced.
    Txt(Box<str>),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}."),
            Self::Ns(name) | Self::Ptr(name) => write!(f, "{name}"),
            Self::Txt(text) => write!(f, "\"{}\"", text.escape_debug()),
        }
    }
}

/// Why there are no records. The first three say that there are none; the others that nobody could say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsFailure {
    /// The name does not exist, or could not (a label over 63 octets).
    NxDomain,
    /// The name exists without records of this type.
    NoData,
    /// The name is an alias of an alias without end.
    AliasLoop,
    /// The server could not find out.
    ServFail,
    /// The server does not want to answer us.
    Refused,
    /// No answer in time.
    Timeout,
    /// No server could be reached.
    Unreachable,
    /// An answer that cannot be read.
    Malformed,
    /// A replay was asked a question that the recording does not hold.
    NotRecorded,
}

impl DnsFailure {
    /// All of them, each in the place of its number.
    pub const ALL: [Self; 9] = [
        Self::NxDomain,
        Self::NoData,
        Self::AliasLoop,
        Self::ServFail,
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Malformed,
        Self::NotRecorded,
    ];

    /// Whether the question remains open, so that asking again later may help.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        !matches!(self, Self::NxDomain | Self::NoData | Self::AliasLoop)
    }
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NxDomain => "no such name",
            Self::NoData => "no record of this type",
            Self::AliasLoop => "aliases without end",
            Self::ServFail => "server failure",
            Self::Refused => "refused",
            Self::Timeout => "timed out",
            Self::Unreachable => "no server reachable",
            Self::Malformed => "malformed answer",
            Self::NotRecorded => "not in the recording",
        })
    }
}

/// What the DNS said to one question. Shared by the cache, the asker and the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The name asked, lower-case ASCII without the trailing dot.
    pub name: Box<str>,
    /// The type asked.
    pub record_type: RecordType,
    /// The records (never none), or why there are none.
    pub result: Result<Box<[Record]>, DnsFailure>,
}

impl DnsAnswer {
    /// The records; none where there was a failure.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.result.as_deref().unwrap_or_default()
    }

    /// Why there are no records, or `None` if there are some.
    #[must_use]
    pub fn failure(&self) -> Option<DnsFailure> {
        self.result.as_ref().err().copied()
    }
}

/// `{"name": …, "type": …, "records": […]}` or, in place of the records, `"failure": …`.
impl Serialize for DnsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("DnsAnswer", 3)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("type", &self.record_type)?;
        match &self.result {
            Ok(records) => {
                let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
                object.serialize_field("records", &texts)?;
            }
            Err(failure) => object.serialize_field("failure", failure)?,
        }
        object.end()
    }
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.name, self.record_type)?;
        match &self.result {
            Err(failure) => write!(f, "{failure}"),
            Ok(records) => {
                for (index, record) in records.iter().enumerate() {
                    write!(f, "{}{record}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
