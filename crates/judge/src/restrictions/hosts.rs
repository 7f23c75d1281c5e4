//! The hosts that a domain names in the DNS, and their addresses.

use std::net::IpAddr;

use facts::{DnsAnswer, DnsFailure, Record, hostname};

/// How many hosts of one domain are looked at. A stranger's domain may name any number, and each costs two questions.
pub(super) const HOSTS_MAX: usize = 32;

/// The mail exchangers or the name servers of an answer, with the preference of a mail exchanger. What is neither a
/// host name nor an address leads nowhere; beside a null MX no other counts.
pub(super) fn hosts(answer: &DnsAnswer) -> impl Iterator<Item = (u16, &str)> {
    let host = |record| match record {
        &Record::Mx { preference, ref exchange } => Some((preference, &**exchange)),
        Record::Ns(name) => Some((0, &**name)),
        _ => None,
    };
    let leads_on = |name: &str| hostname::is_hostname(name) || hostname::is_address(name);
    let records = if has_null_mx(answer) { &[] } else { answer.records() };
    records.iter().filter_map(host).filter(move |(_, name)| leads_on(name)).take(HOSTS_MAX)
}

/// Whether a domain says that it takes no mail (RFC 7505 §3), whatever else it says.
pub(super) fn has_null_mx(answer: &DnsAnswer) -> bool {
    answer.records().iter().any(|record| matches!(record, Record::Mx { exchange, .. } if exchange.is_empty()))
}

/// The addresses of an answer.
pub(super) fn addresses(answer: &DnsAnswer) -> impl Iterator<Item = IpAddr> {
    answer.records().iter().filter_map(|record| match record {
        Record::A(address) => Some(IpAddr::V4(*address)),
        Record::Aaaa(address) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

pub(super) fn is_temporary(answer: &DnsAnswer) -> bool {
    answer.failure().is_some_and(DnsFailure::is_temporary)
}
