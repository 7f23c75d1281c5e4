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
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = hostname::parse_address(bare).ok_or_else(|| format!("\"{bare}\" is not an address"))?;
        let (_, width) = bits(address);
        let prefix_length = match length {
            None => width,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| *length <= width)
                .ok_or_else(|| format!("\"/{length}\" is not a prefix length from 0 to {width}"))?,
        };
        let network = Self::containing(address, prefix_length).ok_or("too long a prefix")?;
        if network.address != address {
            // Postfix refuses this too: a host where a network was meant is most often a slip.
            return Err(format!("{text} has bits set after its prefix: did you mean {network}?"));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}/{}", self.prefix_length),
            IpAddr::V6(address) => write!(f, "[{address}]/{}", self.prefix_length),
        }
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

/// Networks and exceptions, first match decides, as in Postfix's `mynetworks`: `!192.0.2.7` before `192.0.2.0/24`
/// leaves one address out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkList {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    network: Network,
    inside: bool,
}

impl NetworkList {
    /// Whether the first pattern that matches `address` takes it in.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.patterns.iter().find(|pattern| pattern.network.contains(address)).is_some_and(|pattern| pattern.inside)
    }

    /// The networks that are taken in, exceptions left out.
    pub fn networks(&self) -> impl Iterator<Item = Network> {
        self.patterns.iter().filter(|pattern| pattern.inside).map(|pattern| pattern.network)
    }
}

impl FromIterator<Network> for NetworkList {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self { patterns: networks.into_iter().map(|network| Pattern { network, inside: true }).collect() }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", if self.inside { "" } else { "!" }, self.network))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bare = text.trim_start_matches('!');
        let network = bare.parse().map_err(D::Error::custom)?;
        Ok(Self { network, inside: (text.len() - bare.len()).is_multiple_of(2) })
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
}
