//! One attempt to deliver: what is known of its triplet and its client, what follows, and what is known then.
//!
//! The rules are those of postgrey 1.37, in whole seconds. [`step`] is a function of its arguments and nothing else.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use facts::Greylisted;
use serde::{Deserialize, Serialize};

/// A client is counted once in so many seconds, however much it delivers.
const COUNT_INTERVAL: i64 = 3_600;

/// So many seconds after a last attempt another one is no news.
const LAST_GRAIN: i64 = 60;

/// Seconds since 1970, good until 2106.
pub(crate) type Seconds = u32;

/// The administrator's terms for those who are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long a triplet has to wait after its first attempt.
    pub delay: Duration,
    /// How long after its first attempt it may come back; later it begins anew.
    pub retry_window: Duration,
    /// How long after its last attempt a triplet that passed, or a client, is known.
    pub max_age: Duration,
    /// After so many triplets that came back, at most one in an hour counted, a client waits no more; 0: never.
    pub auto_whitelist_clients: u32,
    /// Only a keyed hash is kept, no names.
    pub privacy: bool,
    /// How long after one of ours has written to a sender it need not wait; 0: it must.
    pub correspondents: Duration,
}

impl Terms {
    /// What postgrey does where it is told nothing else.
    pub const POSTGREY: Self = Self {
        delay: Duration::from_mins(5),
        retry_window: Duration::from_hours(2 * 24),
        max_age: Duration::from_hours(35 * 24),
        auto_whitelist_clients: 5,
        privacy: false,
        correspondents: Duration::ZERO,
    };
}

/// One attempt to deliver one message to one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The client's verified name, or `unknown`.
    pub client_name: &'a str,
    /// The sender as it was said; empty for the null sender.
    pub sender_address: &'a str,
    /// The client as it is counted: its address.
    pub client: &'a str,
    /// The client as it stands in the triplet: its network, its host or the domain that speaks for it.
    pub network: &'a str,
    /// The sender as it stands in the triplet.
    pub sender: &'a str,
    /// The recipient.
    pub recipient: &'a str,
    /// When.
    pub now: SystemTime,
    /// On which terms.
    pub terms: &'a Terms,
}

/// What is known of a triplet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Triplet {
    pub first: Seconds,
    pub last: Seconds,
    /// Whether it passed when it was last seen.
    pub passed: bool,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub count: u32,
    pub last: Seconds,
}

/// What follows from an attempt, and what is to be remembered: nothing where it stays as it was, but for a last attempt a
/// short while later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub answer: Greylisted,
    pub client: Option<Client>,
    pub triplet: Option<Triplet>,
}

impl Triplet {
    pub(crate) fn expired(self, now: Seconds, terms: &Terms) -> bool {
        i64::from(now) > self.expires(terms)
    }

    /// The last second in which it counts.
    pub(crate) fn expires(self, terms: &Terms) -> i64 {
        let known = i64::from(self.last).saturating_add(seconds(terms.max_age));
        let waits = i64::from(self.first).saturating_add(seconds(terms.retry_window));
        if self.was_successful(terms) { known } else { known.min(waits) }
    }

    /// Of what two hosts remember of the same triplet.
    pub(crate) fn merged(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            passed: self.passed || other.passed,
        }
    }

    /// Whether it says as much as a later one: who tries again and again within a minute is not written each time. That
    /// costs the time for which it is known a thousandth at most.
    fn stands_for(self, later: Self, terms: &Terms) -> bool {
        let grain = LAST_GRAIN.min(seconds(terms.max_age) / 1_000);
        Self { last: later.last, ..self } == later && (0..grain).contains(&since(later.last, self.last))
    }

    fn was_successful(self, terms: &Terms) -> bool {
        since(self.last, self.first) >= seconds(terms.delay)
    }
}

impl Client {
    pub(crate) fn expired(self, now: Seconds, terms: &Terms) -> bool {
        i64::from(now) > self.expires(terms)
    }

    /// The last second in which it counts.
    pub(crate) fn expires(self, terms: &Terms) -> i64 {
        i64::from(self.last).saturating_add(seconds(terms.max_age))
    }

    /// Of what two hosts remember of the same client.
    pub(crate) fn merged(self, other: Self) -> Self {
        Self { count: self.count.max(other.count), last: self.last.max(other.last) }
    }

    /// Whether it waits no more, whatever the triplet.
    pub(crate) fn is_whitelisted(self, now: Seconds, terms: &Terms) -> bool {
        terms.auto_whitelist_clients > 0 && self.count >= terms.auto_whitelist_clients && !self.expired(now, terms)
    }
}

/// What follows from an attempt at `now`, of a `client` and a `triplet` so far known. A client that is whitelisted needs
/// no triplet; where clients are not counted, the client is not needed.
pub(crate) fn step(now: Seconds, terms: &Terms, client: Option<Client>, triplet: Option<Triplet>) -> Step {
    let counting = terms.auto_whitelist_clients > 0;
    let client = client.filter(|client| counting && !client.expired(now, terms));
    if let Some(client) = client.filter(|client| client.is_whitelisted(now, terms)) {
        return known_client(now, client);
    }
    let triplet = triplet.filter(|triplet| !triplet.expired(now, terms));
    let successful = triplet.is_some_and(|triplet| triplet.was_successful(terms));
    // A first attempt in the future is what a clock that was set back leaves.
    let first = triplet.map_or(now, |triplet| triplet.first.min(now));
    let waited = since(now, first);
    let passed = waited >= seconds(terms.delay);
    let after = Triplet { first, last: now, passed };
    let after = triplet.is_none_or(|before| !before.stands_for(after, terms)).then_some(after);
    if !passed {
        let wait = duration(seconds(terms.delay) - waited);
        let answer =
            if first == now { Greylisted::New { wait } } else { Greylisted::TooEarly { first: time(first), wait } };
        return Step { answer, client: None, triplet: after };
    }
    let counted = (counting && !successful).then(|| count(now, client)).flatten();
    let client_count = counting.then(|| counted.or(client).map_or(0, |client| client.count));
    let answer = Greylisted::Passed { waited: duration(waited), first_time: !successful, client_count };
    Step { answer, client: counted, triplet: after }
}

/// A client that is let through by itself is still counted, so that it is not forgotten.
fn known_client(now: Seconds, client: Client) -> Step {
    let due = since(now, client.last) >= COUNT_INTERVAL || client.last > now;
    let after = if due { Client { count: client.count.saturating_add(1), last: now } } else { client };
    Step { answer: Greylisted::KnownClient { count: after.count }, client: due.then_some(after), triplet: None }
}

/// The client with one more triplet that came back, unless it was counted a short while ago.
fn count(now: Seconds, client: Option<Client>) -> Option<Client> {
    match client {
        None => Some(Client { count: 1, last: now }),
        Some(client) if since(now, client.last) < COUNT_INTERVAL => None,
        Some(client) => Some(Client { count: client.count.saturating_add(1), last: now }),
    }
}

fn since(now: Seconds, then: Seconds) -> i64 {
    i64::from(now) - i64::from(then)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn duration(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Whole seconds since 1970; what lies outside of them is the nearest.
pub(crate) fn unix(time: SystemTime) -> Seconds {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Seconds::try_from(since).unwrap_or(Seconds::MAX)
}

pub(crate) fn time(unix: Seconds) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix.into())
}
