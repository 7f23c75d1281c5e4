//! Whom an administrator allows: names of clients and senders.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use facts::hostname::is_hostname;
use facts::{Allowance, EmailAddress, Network, domain_of};
use serde::{Deserialize, Serialize};

use crate::Unavailable;
use crate::greylist::{Attempt, Greylisted, Seconds, time};

/// How many names an administrator may allow: longer lists belong into a file.
pub(crate) const ALLOWED_MAX: usize = 1_000;

/// What an administrator allows: an address or a network of clients, a sender's address, or a domain of clients or senders
/// with all below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedName(String);

/// A name that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// In lower case.
    pub name: AllowedName,
    /// Since when.
    pub since: SystemTime,
}

/// Names with the time since when they are allowed.
pub(crate) type Names = BTreeMap<String, Seconds>;

/// All names that are allowed.
#[derive(Debug, Default)]
pub(crate) struct AllowList(Mutex<List>);

/// The names, and those among them that are networks.
#[derive(Debug, Default)]
struct List {
    names: Names,
    networks: Vec<(Network, Seconds)>,
}

impl FromStr for AllowedName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        if text.parse::<Network>().is_ok() {
            return Ok(Self(text));
        }
        let domain = text.strip_prefix('@').or(text.strip_prefix('.')).unwrap_or(&text);
        if is_hostname(domain) {
            return Ok(Self(domain.to_owned()));
        }
        let is_address = text.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_hostname(domain));
        let fits = text.chars().all(|c| !c.is_control() && !c.is_whitespace()) && EmailAddress::new(&text).is_some();
        if is_address && fits {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is no name that can be allowed: write an address, a network like 192.0.2.0/24, a domain, or user@domain"
        ))
    }
}

impl TryFrom<String> for AllowedName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AllowedName> for String {
    fn from(name: AllowedName) -> Self {
        name.0
    }
}

impl AllowedName {
    /// As it is looked up.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AllowList {
    /// What is said to an attempt that has one of the names.
    pub(crate) fn welcomes(&self, attempt: &Attempt<'_>) -> Option<Greylisted> {
        self.list().allows(attempt)
    }

    /// All names.
    pub(crate) fn names(&self) -> Names {
        self.list().names.clone()
    }

    /// These names are allowed from now on, and no others.
    pub(crate) fn replace(&self, names: Names) {
        let list = List::of(names);
        *self.list() = list;
    }

    /// The names after a change: this one with the time since when, or without it. Says whether that changes anything.
    pub(crate) fn changed(&self, name: &AllowedName, since: Option<Seconds>) -> Result<(Names, bool), Unavailable> {
        let mut names = self.names();
        let changes = match since {
            None => names.remove(&name.0).is_some(),
            Some(_) if names.contains_key(&name.0) => false,
            Some(_) if names.len() >= ALLOWED_MAX => return Err(Unavailable::Full),
            Some(since) => names.insert(name.0.clone(), since).is_none(),
        };
        Ok((names, changes))
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn of(names: Names) -> Self {
        let networks = names.iter().filter_map(|(name, since)| Some((name.parse().ok()?, *since)));
        Self { networks: networks.collect(), names }
    }

    /// What of an attempt is among the names.
    fn allows(&self, attempt: &Attempt<'_>) -> Option<Greylisted> {
        if self.names.is_empty() {
            return None;
        }
        let [client_name, sender] = [attempt.client_name, attempt.sender_address].map(str::to_ascii_lowercase);
        let mut networks = self.networks.iter().filter(|(network, _)| network.contains(attempt.address));
        let (by, since) = None
            .or_else(|| Some((Allowance::Client, networks.next()?.1)))
            .or_else(|| Some((Allowance::ClientName, self.of_domain(&client_name)?)))
            .or_else(|| Some((Allowance::Sender, *self.names.get(&sender)?)))
            .or_else(|| Some((Allowance::SenderDomain, self.of_domain(domain_of(&sender)?)?)))?;
        Some(Greylisted::Allowed { by, since: time(since) })
    }

    /// Since when a domain or one above it is allowed.
    fn of_domain(&self, domain: &str) -> Option<Seconds> {
        let mut domains =
            std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent));
        domains.find_map(|domain| self.names.get(domain).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::greylist::Terms;

    #[test]
    fn names() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("2001:DB8::/32", Some("2001:db8::/32")),
            ("Example.COM", Some("example.com")),
            ("@example.com", Some("example.com")),
            (".example.com", Some("example.com")),
            ("A@Example.com", Some("a@example.com")),
            ("", None),
            ("a b@example.com", None),
            ("a@", None),
            ("@", None),
            ("not/a/net", None),
            ("192.0.2.0/33", None),
        ] {
            let parsed = text.parse::<AllowedName>().ok();
            assert_eq!(parsed.as_ref().map(AllowedName::as_str), expected, "{text}");
        }
    }

    #[test]
    fn who_is_allowed() {
        let names = ["192.0.2.0/24", "friend.example", "a@one.example"].map(|name| (name.to_owned(), 7));
        let list = List::of(names.into());
        for (address, client_name, sender_address, expected) in [
            ("192.0.2.9", "unknown", "x@y.example", Some(Allowance::Client)),
            ("198.51.100.1", "MX.friend.example", "x@y.example", Some(Allowance::ClientName)),
            ("198.51.100.1", "notfriend.example", "x@y.example", None),
            ("198.51.100.1", "unknown", "A@one.example", Some(Allowance::Sender)),
            ("198.51.100.1", "unknown", "b@one.example", None),
            ("198.51.100.1", "unknown", "b@lists.Friend.example", Some(Allowance::SenderDomain)),
            ("198.51.100.1", "unknown", "", None),
        ] {
            let terms = Terms::POSTGREY;
            let attempt = Attempt {
                address: address.parse().unwrap(),
                client_name,
                sender_address,
                client: "",
                network: "",
                sender: "",
                recipient: "",
                now: time(100),
                terms: &terms,
            };
            let expected = expected.map(|by| Greylisted::Allowed { by, since: time(7) });
            assert_eq!(list.allows(&attempt), expected, "{address} {client_name} {sender_address}");
        }
    }
}
