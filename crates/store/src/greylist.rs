//! One attempt to deliver: what is known of its triplet and its client, what follows, and what is known then.
//!
//! The rules are those of postgrey 1.37, in whole seconds. [`step`] is a function of its arguments and nothing else.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use facts::Greylisted;
use serde::{Deserialize, Serialize};

/// A client is counted once in so many seconds, however much it delivers.
const COUNT_INTERVAL: i64 = 3_600;

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
}

/// One attempt to deliver one message to one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
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

/// What follows from an attempt, and what is to be remembered: nothing where it stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub answer: Greylisted,
    pub client: Option<Client>,
    pub triplet: Option<Triplet>,
}

impl Triplet {
    pub(crate) fn expired(self, now: Seconds, terms: &Terms) -> bool {
        let over = since(now, self.last) > seconds(terms.max_age);
        over || (!self.was_successful(terms) && since(now, self.first) > seconds(terms.retry_window))
    }

    fn was_successful(self, terms: &Terms) -> bool {
        since(self.last, self.first) >= seconds(terms.delay)
    }
}

impl Client {
    pub(crate) fn expired(self, now: Seconds, terms: &Terms) -> bool {
        since(now, self.last) > seconds(terms.max_age)
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
    let after = Some(Triplet { first, last: now, passed });
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
