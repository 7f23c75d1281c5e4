//! Networks in Postfix's notation, and lists of them with exceptions.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hostname;

/// A network: `192.0.2.0/24`, `[2001:db8::]/32`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix_length: u8,
}

impl Network {
    /// The network of `prefix_length` bits that holds `address`; bits after the prefix are cleared. `None` if the
    /// address has fewer bits than that.
    #[must_use]
    pub fn containing(address: IpAddr, prefix_length: u8) -> Option<Self> {
        let (bits, width) = bits(address);
        (prefix_length <= width)
            .then(|| Self { address: address_of(bits & mask(prefix_length, width), width), prefix_length })
    }

    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits all addresses share.
    #[must_use]
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// Whether `address` lies inside. The two families never meet.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let shared = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        shared >= self.prefix_length.into()
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn mask(prefix_length: u8, width: u8) -> u128 {
    let host_bits = u32::from(width - prefix_length);
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

fn address_of(bits: u128, width: u8) -> IpAddr {
    if width == 32 {
        IpAddr::V4(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default().into())
    } else {
        IpAddr::V6(bits.into())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = Written::parse(text)?;
        written.host_bits().map_or(Ok(written.network), Err)
    }
}

/// A network, and the address by which it is written: another than its first where bits are set after the prefix. Most
/// often that is a slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    network: Network,
    address: IpAddr,
}

impl Written {
    fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address =
            hostname::parse_address(bare).ok_or_else(|| format!("\"{text}\" is neither an address nor a network"))?;
        let (_, width) = bits(address);
        let prefix_length = match length {
            None => width,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| *length <= width)
                .ok_or_else(|| format!("\"{text}\" has no prefix length from 0 to {width}"))?,
        };
        let network = Network::containing(address, prefix_length).ok_or("too long a prefix")?;
        Ok(Self { network, address })
    }

    /// What to say of bits that are set after the prefix, if any are.
    fn host_bits(&self) -> Option<String> {
        let is_clear = self.address == self.network.address;
        (!is_clear).then(|| format!("{self} has bits set after its prefix: did you mean {}?", self.network))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}/{}", self.network.prefix_length),
            IpAddr::V6(address) => write!(f, "[{address}]/{}", self.network.prefix_length),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Written { network: *self, address: self.address }.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One pattern of a [`NetworkList`]: a network, or with `!` before it an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPattern {
    written: Written,
    inside: bool,
}

impl NetworkPattern {
    /// The network that is taken in; `None` for an exception.
    #[must_use]
    pub fn taken_in(&self) -> Option<Network> {
        self.inside.then_some(self.written.network)
    }

    /// What to say of bits that are set after the prefix, if any are: nobody knows who is meant then.
    #[must_use]
    pub fn host_bits(&self) -> Option<String> {
        self.written.host_bits()
    }
}

impl FromStr for NetworkPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim_start_matches('!');
        Ok(Self { written: Written::parse(bare)?, inside: (text.len() - bare.len()).is_multiple_of(2) })
    }
}

impl fmt::Display for NetworkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.inside { "" } else { "!" }, self.written)
    }
}

impl Serialize for NetworkPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NetworkPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Networks and exceptions, first match decides, as in Postfix's `mynetworks`: `!192.0.2.7` before `192.0.2.0/24`
/// leaves one address out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkList {
    patterns: Vec<NetworkPattern>,
}

impl NetworkList {
    /// Whether no pattern stands in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the first pattern that matches `address` takes it in.
    ///
    /// # Errors
    /// A pattern of the family of `address` with bits set after its prefix, where none before it matches: as in Postfix
    /// (match_list(3)) nobody can say then. The words are those of [`NetworkPattern::host_bits`].
    pub fn contains(&self, address: IpAddr) -> Result<bool, String> {
        for NetworkPattern { written, inside } in &self.patterns {
            if written.address.is_ipv4() != address.is_ipv4() {
                continue;
            }
            if let Some(complaint) = written.host_bits() {
                return Err(complaint);
            }
            if written.network.contains(address) {
                return Ok(*inside);
            }
        }
        Ok(false)
    }
}

impl FromIterator<NetworkPattern> for NetworkList {
    fn from_iter<I: IntoIterator<Item = NetworkPattern>>(patterns: I) -> Self {
        Self { patterns: patterns.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (text, shown) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("[::1]/128", "[::1]/128"),
            ("[2001:db8::]/32", "[2001:db8::]/32"),
            ("2001:db8::/32", "[2001:db8::]/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "[::]/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for bad in
            ["", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/24", "[::1]/129", "[::1", "localhost", "10/8", "1:2:3"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn membership() {
        let inside =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(inside("192.0.2.0/24", "192.0.2.255"));
        assert!(!inside("192.0.2.0/24", "192.0.3.0"));
        assert!(inside("0.0.0.0/0", "255.255.255.255"));
        assert!(!inside("0.0.0.0/0", "::1"));
        assert!(inside("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!inside("2001:db8::/33", "2001:db8:8000::1"));
    }
    #[test]
    fn the_first_pattern_that_matches_decides() {
        let broken = "10.0.0.1/8 has bits set after its prefix: did you mean 10.0.0.0/8?";
        let broken6 = "[2001:db8::1]/32 has bits set after its prefix: did you mean [2001:db8::]/32?";
        for (patterns, address, expected) in [
            ("", "192.0.2.7", Ok(false)),
            ("192.0.2.0/24", "192.0.2.7", Ok(true)),
            ("!192.0.2.7 192.0.2.0/24", "192.0.2.7", Ok(false)),
            ("!!192.0.2.7", "192.0.2.7", Ok(true)),
            // Bits after the prefix: whoever comes to it, and is of its family.
            ("192.0.2.0/24 10.0.0.1/8", "192.0.2.7", Ok(true)),
            ("10.0.0.1/8 192.0.2.0/24", "192.0.2.7", Err(broken)),
            ("10.0.0.1/8", "10.0.0.1", Err(broken)),
            ("!10.0.0.1/8 192.0.2.0/24", "192.0.2.7", Err(broken)),
            ("10.0.0.1/8", "2001:db8::7", Ok(false)),
            ("[2001:db8::1]/32 192.0.2.0/24", "192.0.2.7", Ok(true)),
            ("[2001:db8::1]/32", "2001:db9::7", Err(broken6)),
        ] {
            let list: NetworkList =
                patterns.split_whitespace().map(|pattern| pattern.parse::<NetworkPattern>().unwrap()).collect();
            assert_eq!(
                list.contains(address.parse().unwrap()),
                expected.map_err(str::to_owned),
                "{patterns} {address}"
            );
        }
    }

    #[test]
    fn patterns_are_shown_as_they_are_written() {
        for text in ["10.0.0.0/8", "!10.0.0.0/8", "10.0.0.1/8", "![2001:db8::1]/32"] {
            assert_eq!(text.parse::<NetworkPattern>().unwrap().to_string(), text);
        }
    }
}
