//! The lists that we know: their codes, so that nobody must look them up, and those that are dead.

use std::sync::LazyLock;

use super::AddressPattern;

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It lists what to keep out.
    Block,
    /// It lists what to let in.
    Welcome,
}

/// A list that we know.
#[derive(Debug)]
pub struct Known {
    /// Its domain; its subdomains are the same list.
    pub zone: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// Since when it is dead.
    pub retired: Option<&'static str>,
    codes: &'static str,
}

const fn block(zone: &'static str, codes: &'static str) -> Known {
    Known { zone, purpose: Purpose::Block, retired: None, codes }
}

const fn dead(zone: &'static str, since: &'static str) -> Known {
    Known { zone, purpose: Purpose::Block, retired: Some(since), codes: "127.0.0.2" }
}

/// Longer zones before the shorter ones that hold them.
const KNOWN: &[Known] = &[
    block("zen.spamhaus.org", "127.0.0.[2..11]"),
    block("sbl.spamhaus.org", "127.0.0.[2;3;9]"),
    block("xbl.spamhaus.org", "127.0.0.[4..7]"),
    block("pbl.spamhaus.org", "127.0.0.[10;11]"),
    // 127.0.1.255 says that an address was asked where domains are listed.
    block("dbl.spamhaus.org", "127.0.1.[2..254]"),
    // 127.0.0.1 says that the resolver is refused.
    block("multi.uribl.com", "127.0.0.[2..254]"),
    // Category in the third octet (from 2), trust in the fourth: 0 is none, 255 over quota.
    Known { zone: "list.dnswl.org", purpose: Purpose::Welcome, retired: None, codes: "127.0.[1..255].[1..3]" },
    dead("sorbs.net", "2024-06-05"),
    dead("dsbl.org", "2009"),
    dead("ahbl.org", "2015-01-01"),
    dead("njabl.org", "2013-03-01"),
    dead("ordb.org", "2006-12-18"),
];

static CODES: LazyLock<Vec<AddressPattern>> =
    LazyLock::new(|| KNOWN.iter().map(|known| known.codes.parse().expect("the table holds valid patterns")).collect());

impl Known {
    /// The answers that mean that something is listed.
    #[must_use]
    pub fn codes(&self) -> &'static AddressPattern {
        let index = KNOWN.iter().position(|known| known.zone == self.zone).expect("a known list stands in the table");
        &CODES[index]
    }
}

/// What is known of the list at `zone`, or of the list that `zone` is a part of.
#[must_use]
pub fn known(zone: &str) -> Option<&'static Known> {
    let zone = zone.to_ascii_lowercase();
    KNOWN
        .iter()
        .find(|known| zone.strip_suffix(known.zone).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.')))
}
