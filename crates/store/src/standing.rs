//! Who need not wait whatever is remembered of them: whom an administrator allows, and to whom our own users write.
//!
//! All of it is in memory, on every host; the engines see to it that it is remembered.

use std::collections::BTreeMap;
use std::mem;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use facts::hostname::is_hostname;
use facts::{Allowance, EmailAddress, Network, domain_of};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::Unavailable;
use crate::greylist::{Attempt, Greylisted, Seconds, time, unix};
use crate::key::{Key, Kind, Secret};

/// How many names an administrator may allow: longer lists belong into a file.
pub(crate) const ALLOWED_MAX: usize = 1_000;
/// How many correspondents are remembered. Over it those to whom nobody has written for longest are forgotten.
pub(crate) const CORRESPONDENTS_MAX: usize = 200_000;
/// What is known of a correspondent is not written again for so many seconds.
const GRAIN: Seconds = 86_400;

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

#[derive(Debug, Default)]
pub(crate) struct Standing {
    allowed: Mutex<AllowList>,
    correspondents: Mutex<Correspondents>,
}

/// Names with the time since when they are allowed.
pub(crate) type Names = BTreeMap<String, Seconds>;

/// The names that are allowed, and those among them that are networks.
#[derive(Debug, Default)]
struct AllowList {
    names: Names,
    networks: Vec<(Network, Seconds)>,
}

/// When one of ours has last written to somebody.
#[derive(Debug, Default)]
struct Correspondents {
    last: FxHashMap<Key, Seconds>,
    /// What the engine has not written.
    unwritten: FxHashMap<Key, Option<Seconds>>,
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

impl Standing {
    /// What is said to an attempt that need not wait.
    pub(crate) fn welcomes(&self, attempt: &Attempt<'_>, secret: &Secret) -> Option<Greylisted> {
        let allowed = self.allow_list().allows(attempt);
        allowed.or_else(|| self.is_correspondent(attempt, secret))
    }

    /// One of ours writes to this address.
    pub(crate) fn learn(&self, address: &str, now: SystemTime, secret: &Secret) {
        self.correspondents().learn(correspondent(address, secret), unix(now));
    }

    fn is_correspondent(&self, attempt: &Attempt<'_>, secret: &Secret) -> Option<Greylisted> {
        if attempt.terms.correspondents.is_zero() || attempt.sender_address.is_empty() {
            return None;
        }
        let correspondents = self.correspondents();
        if correspondents.last.is_empty() {
            return None;
        }
        let last = time(*correspondents.last.get(&correspondent(attempt.sender_address, secret))?);
        let age = attempt.now.duration_since(last).unwrap_or(Duration::ZERO);
        (age <= attempt.terms.correspondents).then_some(Greylisted::Correspondent { last })
    }

    /// All that is allowed.
    pub(crate) fn allowed(&self) -> Names {
        self.allow_list().names.clone()
    }

    /// These names are allowed from now on, and no others.
    pub(crate) fn allow(&self, names: Names) {
        let list = AllowList::of(names);
        *self.allow_list() = list;
    }

    fn allow_list(&self) -> MutexGuard<'_, AllowList> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names after a change: this one with the time since when, or without it. Says whether that changes anything.
    pub(crate) fn changed(&self, name: &AllowedName, since: Option<Seconds>) -> Result<(Names, bool), Unavailable> {
        let mut names = self.allowed();
        let changes = match since {
            None => names.remove(&name.0).is_some(),
            Some(_) if names.contains_key(&name.0) => false,
            Some(_) if names.len() >= ALLOWED_MAX => return Err(Unavailable::Full),
            Some(since) => names.insert(name.0.clone(), since).is_none(),
        };
        Ok((names, changes))
    }

    /// How many correspondents are remembered.
    pub(crate) fn correspondents_len(&self) -> usize {
        self.correspondents().last.len()
    }

    /// Somebody else has learnt of these.
    pub(crate) fn take_on(&self, learnt: impl IntoIterator<Item = (Key, Seconds)>) {
        let mut correspondents = self.correspondents();
        for (key, last) in learnt {
            let known = correspondents.last.entry(key).or_default();
            *known = last.max(*known);
        }
        correspondents.crowd_out();
    }

    /// Whether there is something to be written.
    pub(crate) fn has_unwritten(&self) -> bool {
        !self.correspondents().unwritten.is_empty()
    }

    /// What is to be written: when one was last written to, or nothing where it is forgotten.
    pub(crate) fn take_unwritten(&self) -> FxHashMap<Key, Option<Seconds>> {
        mem::take(&mut self.correspondents().unwritten)
    }

    /// What could not be written waits again.
    pub(crate) fn put_back(&self, unwritten: FxHashMap<Key, Option<Seconds>>) {
        let newer = mem::replace(&mut self.correspondents().unwritten, unwritten);
        self.correspondents().unwritten.extend(newer);
    }

    /// Nothing of it is written any more.
    pub(crate) fn lose(&self) {
        let mut correspondents = self.correspondents();
        correspondents.unwritten = correspondents.last.iter().map(|(key, last)| (*key, Some(*last))).collect();
    }

    /// The secret is another one: nobody knows the correspondents under their keys any more.
    pub(crate) fn forget_correspondents(&self) {
        *self.correspondents() = Correspondents::default();
    }

    fn correspondents(&self) -> MutexGuard<'_, Correspondents> {
        // A panic under the lock leaves at worst an entry too few or too many.
        self.correspondents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Correspondents {
    fn learn(&mut self, key: Key, now: Seconds) {
        if self.last.get(&key).is_some_and(|last| now < last.saturating_add(GRAIN)) {
            return;
        }
        self.last.insert(key, now);
        self.unwritten.insert(key, Some(now));
        self.crowd_out();
    }

    /// Forgets an eighth where there are too many.
    fn crowd_out(&mut self) {
        if self.last.len() <= CORRESPONDENTS_MAX {
            return;
        }
        let over = self.last.len() - CORRESPONDENTS_MAX / 8 * 7;
        let mut ages = Vec::from_iter(self.last.iter().map(|(key, last)| (*last, *key)));
        let (oldest, ..) = ages.select_nth_unstable(over);
        for (_, key) in oldest {
            self.last.remove(key);
            self.unwritten.insert(*key, None);
        }
    }
}

fn correspondent(address: &str, secret: &Secret) -> Key {
    secret.named(Kind::Correspondent, [address, "", ""], false).key
}

impl AllowList {
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
        let list = AllowList::of(names.into());
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

    #[test]
    fn too_many_are_crowded_out_the_oldest_first() {
        let mut correspondents = Correspondents::default();
        for number in 0..=CORRESPONDENTS_MAX as u128 {
            correspondents.learn(Key(number), 1_000 + (number % 1_000) as u32);
        }
        assert_eq!(correspondents.last.len(), CORRESPONDENTS_MAX / 8 * 7);
        assert!(correspondents.last.values().all(|last| *last >= 1_125), "the oldest eighth");
        let gone = correspondents.unwritten.values().filter(|last| last.is_none()).count();
        assert_eq!(gone, CORRESPONDENTS_MAX + 1 - CORRESPONDENTS_MAX / 8 * 7);
    }
}
