//! The section `[dns]` of the configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

const PORT: u16 = 53;
/// How long a failure is kept at most: whoever mends a server must not wait for us (RFC 2308 §7.1 allows minutes).
const TTL_FAILURE_MAX: Duration = Duration::from_secs(5);
/// The floor may not outlive what an administrator means by a short TTL.
const TTL_MIN_MAX: Duration = Duration::from_secs(3_600);

/// The section `[dns]`. Every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who is asked, in this order: `"system"` (what /etc/resolv.conf names), or addresses with or without a port.
    #[schemars(with = "Vec<String>")]
    pub servers: Vec<Server>,
    /// How long one question may take from its sending, over all servers; each server still to be asked gets an
    /// equal share of what is left, in which a datagram is sent up to three times.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// How many questions may be on their way at once; further ones wait for a place, at most `timeout`.
    pub queries_in_flight_max: NonZeroU16,
    /// How many answers are remembered, rounded up to a power of two: 16 octets of memory for each, taken at the start,
    /// and up to 32 more for the records of those that have some. An answer that would take a 64th of all that room is not
    /// remembered.
    pub cache_entries_max: u32,
    /// An answer is remembered at least so long, whatever its TTL; 1h at most.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub ttl_min: Duration,
    /// An answer is remembered at most so long.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub ttl_max: Duration,
    /// The answer that there is nothing is remembered at most so long (RFC 2308 §5).
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub ttl_negative_max: Duration,
    /// A failure is remembered so long; 5 s at most.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub ttl_failure: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: vec![Server::System],
            timeout: Duration::from_secs(5),
            queries_in_flight_max: NonZeroU16::new(1024).expect("1024 is not 0"),
            cache_entries_max: 524_288,
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_secs(86_400),
            ttl_negative_max: Duration::from_secs(3_600),
            ttl_failure: TTL_FAILURE_MAX,
        }
    }
}

impl Settings {
    /// Whether the values make sense together; their form was checked when they were read.
    ///
    /// # Errors
    /// The key at fault, and why.
    pub fn check(&self) -> Result<(), Error> {
        let fault = |key, problem| Err(Error::Setting { key, problem });
        if self.servers.is_empty() {
            return fault("servers", "is empty: name a server, or write [\"system\"]");
        }
        if self.timeout.is_zero() {
            return fault("timeout", "must be longer than 0s");
        }
        if self.ttl_min > self.ttl_max.min(TTL_MIN_MAX) {
            return fault("ttl_min", "may be ttl_max at most, and 1h at most");
        }
        if self.ttl_failure > TTL_FAILURE_MAX {
            return fault("ttl_failure", "may be 5s at most, so that a mended server is noticed");
        }
        Ok(())
    }
}

/// Who answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The servers that /etc/resolv.conf names.
    System,
    /// A server by address and port.
    Address(SocketAddr),
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "system" => return Ok(Self::System),
            "recursive" => {
                return Err("\"recursive\" is not built yet: name a resolver, or write \"system\"".into());
            }
            _ => {}
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let with_default_port = || bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        text.parse()
            .or_else(|_| with_default_port())
            .map(Self::Address)
            .map_err(|_| format!("\"{text}\" is not a DNS server: write \"system\", 127.0.0.1:53 or [::1]:53"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for Server {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The addresses of `servers`, with /etc/resolv.conf read where it is meant.
pub(crate) fn addresses(servers: &[Server]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for server in servers {
        match server {
            Server::Address(address) => addresses.push(*address),
            Server::System => {
                let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_else(|error| {
                    tracing::warn!("/etc/resolv.conf: {error}: asking 127.0.0.1");
                    String::new()
                });
                addresses.extend(resolv_conf(&text));
            }
        }
    }
    addresses
}

/// resolv.conf(5): "If no nameserver entries are present, the default is to use the name server on the local
/// machine." Search domains and options are for the names that people type; we only ask for whole names.
fn resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(address)) = (words.next(), words.next()) else { continue };
        match (address.parse(), format!("[{address}]:{PORT}").parse()) {
            (Ok(address), _) => servers.push(SocketAddr::new(address, PORT)),
            // An IPv6 address with its interface (fe80::1%2), which only parses as part of a socket address.
            (Err(_), Ok(scoped)) => servers.push(scoped),
            (Err(_), Err(_)) => tracing::warn!("/etc/resolv.conf: \"{address}\" is not an address"),
        }
    }
    if servers.is_empty() {
        servers.push(SocketAddr::from(([127, 0, 0, 1], PORT)));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        for (text, shown) in [
            ("system", "system"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("192.0.2.1", "192.0.2.1:53"),
            ("[::1]:5353", "[::1]:5353"),
            ("[::1]", "[::1]:53"),
            ("2001:db8::1", "[2001:db8::1]:53"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), shown);
        }
        for bad in ["", "dns.example", "127.0.0.1:99999", "[127.0.0.1", "recursive", "tcp:127.0.0.1"] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_section_of_a_file() {
        let section = |text: &str| toml::from_str::<Settings>(text).map_err(|error| error.message().to_owned());
        assert_eq!(section(""), Ok(Settings::default()));
        let written = toml::to_string(&Settings::default()).unwrap();
        assert_eq!(section(&written), Ok(Settings::default()));
        let some = section("servers = [\"192.0.2.1\"]\ntimeout = \"2s\"\nqueries_in_flight_max = 64").unwrap();
        assert_eq!((some.timeout.as_secs(), some.queries_in_flight_max.get()), (2, 64));
        for (text, complaint) in [
            ("server = [\"system\"]", "unknown field `server`"),
            ("servers = [\"recursive\"]", "\"recursive\" is not built yet"),
            ("queries_in_flight_max = 0", "nonzero"),
            ("timeout = \"soon\"", "\"soon\" is not a duration"),
        ] {
            assert!(section(text).unwrap_err().contains(complaint), "{text}: {:?}", section(text));
        }
    }

    #[test]
    fn resolv_conf_names_servers() {
        let check = |text: &str, expected: &[&str]| {
            let servers: Vec<String> = resolv_conf(text).iter().map(ToString::to_string).collect();
            assert_eq!(servers, expected, "{text}");
        };
        check("", &["127.0.0.1:53"]);
        check("# nameserver 1.1.1.1\nsearch example.com\n", &["127.0.0.1:53"]);
        check("nameserver 192.0.2.1\n  nameserver\t2001:db8::1 # x\n", &["192.0.2.1:53", "[2001:db8::1]:53"]);
        check("nameserver fe80::1%2\nnameserver nonsense\n", &["[fe80::1%2]:53"]);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let check = |change: fn(&mut Settings), key: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            assert!(settings.check().unwrap_err().to_string().contains(key), "{key}");
        };
        assert!(Settings::default().check().is_ok());
        check(|settings| settings.servers.clear(), "dns.servers");
        check(|settings| settings.timeout = Duration::ZERO, "dns.timeout");
        check(|settings| settings.ttl_max = Duration::ZERO, "dns.ttl_min");
        check(|settings| settings.ttl_failure = Duration::from_secs(6), "dns.ttl_failure");
    }
}
