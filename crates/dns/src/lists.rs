//! DNS lists: which of their answers count, which of them are known, and how they are asked (RFC 5782).

mod known;
mod pattern;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use facts::{DnsAnswer, Record, hostname};
pub use known::{Known, Purpose, known};
pub use pattern::AddressPattern;

/// A list as a restriction names it: `zen.spamhaus.org` or `list.dnswl.org=127.0.[0..255].[1..3]`.
#[derive(Clone, Debug)]
pub struct DnsList {
    /// As configured, with its filter.
    pub text: Box<str>,
    /// The list's domain, as the administrator writes it: replies name it so.
    pub zone: Box<str>,
    /// Which answers count; `None` where the administrator gave no filter.
    pub codes: Option<AddressPattern>,
    known: Option<&'static Known>,
}

impl FromStr for DnsList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (zone, codes) = match text.split_once('=') {
            Some((zone, codes)) => (zone, Some(codes.parse()?)),
            None => (text, None),
        };
        if !hostname::is_hostname(zone) {
            return Err(format!("\"{zone}\" is not the domain of a DNS list"));
        }
        Ok(Self { text: text.into(), zone: zone.into(), codes, known: known(zone) })
    }
}

impl DnsList {
    /// Whether an answer counts as listed.
    ///
    /// Deliberately stricter than Postfix: the error codes in 127.255.255.0/24 never count, a known list counts
    /// only by its own codes where the administrator gave none, and a known welcome list never by codes that
    /// it answers when it is asked too often.
    #[must_use]
    pub fn counts(&self, answer: &DnsAnswer) -> bool {
        answer.records().iter().any(|record| matches!(record, Record::A(code) if self.counts_code(*code)))
    }

    fn counts_code(&self, code: Ipv4Addr) -> bool {
        // "MUST NOT be interpreted as listed": a typing error in the zone, a public resolver, too many queries.
        let is_error = matches!(code.octets(), [127, 255, 255, _]);
        let by_filter = match (&self.codes, self.known) {
            (Some(codes), _) => codes.matches(code),
            (None, Some(known)) => known.codes().matches(code),
            (None, None) => true,
        };
        let over_quota =
            self.known.is_some_and(|known| known.purpose == Purpose::Welcome && !known.codes().matches(code));
        by_filter && !is_error && !over_quota
    }

    /// Since when nobody runs this list any more, or `None` if it is not known to be dead. A dead list is not
    /// asked: whoever registers its domain anew may list the world.
    #[must_use]
    pub fn retired(&self) -> Option<&'static str> {
        self.known.and_then(|known| known.retired)
    }

    /// The name to ask for a domain, or for an address [`reversed`] (RFC 5782 §2.1, §2.4).
    #[must_use]
    pub fn question(&self, what: &str) -> String {
        [what, ".", &self.zone].concat()
    }
}

/// The octets (IPv4) or nibbles (IPv6) of `address` in reverse, with dots between: how DNS lists and PTR records are
/// asked.
#[must_use]
pub fn reversed(address: IpAddr) -> String {
    let mut name = String::with_capacity(64);
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().into_iter().rev() {
                hostname::push_octet(&mut name, octet);
                name.push('.');
            }
        }
        IpAddr::V6(address) => {
            for octet in address.octets().into_iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
        }
    }
    name.pop();
    name
}

#[cfg(test)]
mod tests {
    use facts::RecordType;

    use super::*;

    fn counts(list: &str, code: &str) -> bool {
        let answer = DnsAnswer {
            name: "x".into(),
            record_type: RecordType::A,
            result: Ok([Record::A(code.parse().unwrap())].into()),
        };
        list.parse::<DnsList>().unwrap().counts(&answer)
    }

    #[test]
    fn what_counts_as_listed() {
        for (list, code, expected) in [
            ("bl.example", "127.0.0.1", true),
            ("bl.example", "127.255.255.254", false),
            ("bl.example=127.255.255.254", "127.255.255.254", false),
            ("bl.example=127.0.0.[2;4..6]", "127.0.0.5", true),
            ("bl.example=127.0.0.[2;4..6]", "127.0.0.3", false),
            ("zen.spamhaus.org", "127.0.0.4", true),
            ("ZEN.spamhaus.org", "127.0.0.1", false),
            ("zen.spamhaus.org=127.0.0.2", "127.0.0.4", false),
            ("dbl.spamhaus.org", "127.0.1.2", true),
            ("dbl.spamhaus.org", "127.0.1.255", false),
            ("list.dnswl.org", "127.0.5.1", true),
            ("list.dnswl.org", "127.0.5.0", false),
            ("list.dnswl.org=127.0.[0..255].[0..255]", "127.0.0.255", false),
            ("list.dnswl.org=127.0.[0..255].[1..3]", "127.0.0.2", false),
            ("multi.uribl.com", "127.0.0.1", false),
        ] {
            assert_eq!(counts(list, code), expected, "{list} {code}");
        }
    }

    #[test]
    fn questions() {
        let list: DnsList = "bl.example".parse().unwrap();
        let question = |address: &str| list.question(&reversed(address.parse().unwrap()));
        assert_eq!(question("192.0.2.99"), "99.2.0.192.bl.example");
        assert_eq!(
            question("2001:db8:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example"
        );
    }

    #[test]
    fn mistakes_and_dead_lists() {
        for bad in ["", "=127.0.0.2", "bl example", "bl.example=127.0.0", "1.2.3.4"] {
            assert!(bad.parse::<DnsList>().is_err(), "{bad}");
        }
        assert!("dnsbl.sorbs.net".parse::<DnsList>().unwrap().retired().is_some());
        assert!("spam.dnsbl.sorbs.net".parse::<DnsList>().unwrap().retired().is_some());
        assert!("bl.example".parse::<DnsList>().unwrap().retired().is_none());
    }
}
