//! What an administrator asks of the store, and forgets.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::engine::Row;
use crate::greylist::{Client, Seconds, Triplet, time, unix};
use crate::key::read_names;
use crate::standing::{Allowed, AllowedName, Standing};
use crate::{Place, Store, Unavailable};

/// How many entries a page has at most.
pub(crate) const PAGE_MAX: usize = 1_000;

/// Where the next page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Which node of a cluster; 0 where there is none.
    pub(crate) node: u32,
    /// Which block of the file, or where Valkey's SCAN goes on.
    pub(crate) position: u64,
    /// How much of it has been told.
    pub(crate) at: u32,
}

/// Some entries: in a file those first that were not touched for longest, in Valkey in no order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// At most a thousand.
    pub entries: Vec<T>,
    /// Where the next page begins; nothing after the last. An entry touched in the meantime comes again.
    pub next: Option<Cursor>,
}

/// A triplet that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTriplet {
    /// Its network, in lower case; empty where only the hash is kept, as are the other two.
    pub network: String,
    /// Its sender, in lower case.
    pub sender: String,
    /// Its recipient, in lower case.
    pub recipient: String,
    /// Its first attempt.
    pub first: SystemTime,
    /// Its last attempt.
    pub last: SystemTime,
    /// Whether that attempt passed.
    pub passed: bool,
}

/// A client that came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedClient {
    /// Its address; empty where only the hash is kept.
    pub address: String,
    /// How often it was counted.
    pub count: u32,
    /// When it was counted last.
    pub last: SystemTime,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Triplets that have not passed.
    pub triplets_waiting: u64,
    /// Triplets that have.
    pub triplets_passed: u64,
    /// Clients that came back.
    pub clients: u64,
    /// Names that an administrator allows.
    pub allowed: u64,
    /// Addresses to which our own users have written.
    pub correspondents: u64,
    /// Changes of triplets and clients that wait to be written, and are not counted above.
    pub unwritten: u64,
    /// Octets of the file; 0 where there is none of our own.
    pub file_size: u64,
    /// How long those who came back had waited when they first passed, since the file was begun: for each step the bound
    /// below which they waited, and how many they were. The last has no bound.
    pub waits: Vec<(Option<Duration>, u64)>,
}

/// An entry, with its names in their written form.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub row: Row,
    pub names: Vec<u8>,
}

impl Store {
    /// The triplets with this text in one of their names, in any case; all with none. A page has `limit` of them, at most
    /// a thousand.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn triplets(
        &self,
        filter: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<ListedTriplet>, Unavailable> {
        let filter = filter.to_ascii_lowercase();
        match &self.0 {
            Place::Embedded(embedded) => embedded.page(after, limit, |entry| entry.listed_triplet(&filter)).await,
            Place::Valkey(valkey) => valkey.page(after, limit, |entry| entry.listed_triplet(&filter)).await,
        }
    }

    /// The clients that came back, with this text in their address; all with none. A page has `limit` of them, at most a
    /// thousand.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn clients(
        &self,
        filter: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<ListedClient>, Unavailable> {
        let filter = filter.to_ascii_lowercase();
        match &self.0 {
            Place::Embedded(embedded) => embedded.page(after, limit, |entry| entry.listed_client(&filter)).await,
            Place::Valkey(valkey) => valkey.page(after, limit, |entry| entry.listed_client(&filter)).await,
        }
    }

    /// Forgets all triplets with exactly this network, sender or recipient, and the client of this address, in any case;
    /// says how many entries there were. They are gone from the disk when it returns.
    ///
    /// # Errors
    /// If the store cannot be read or written: some may be forgotten already.
    pub async fn forget(&self, filter: &str) -> Result<u64, Unavailable> {
        match &self.0 {
            Place::Embedded(embedded) => embedded.forget(|entry| entry.is_of(filter)).await,
            Place::Valkey(valkey) => valkey.forget(|entry| entry.is_of(filter)).await,
        }
    }

    /// Never greylists what has this name. Says whether it was not allowed before. It is on the disk, or known to Valkey,
    /// when this returns.
    ///
    /// # Errors
    /// If it cannot be written, or there are a thousand names already.
    pub async fn allow(&self, name: &AllowedName, now: SystemTime) -> Result<bool, Unavailable> {
        self.set_allowed(name, Some(unix(now))).await
    }

    /// Takes that back. Says whether it was allowed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn disallow(&self, name: &AllowedName) -> Result<bool, Unavailable> {
        self.set_allowed(name, None).await
    }

    /// All names that an administrator allows.
    #[must_use]
    pub fn allowed(&self) -> Vec<Allowed> {
        let allowed = |(name, since): (String, _)| Some(Allowed { name: name.parse().ok()?, since: time(since) });
        self.standing().allowed.names().into_iter().filter_map(allowed).collect()
    }

    async fn set_allowed(&self, name: &AllowedName, since: Option<Seconds>) -> Result<bool, Unavailable> {
        match &self.0 {
            Place::Embedded(embedded) => embedded.set_allowed(name, since).await,
            Place::Valkey(valkey) => valkey.set_allowed(name, since).await,
        }
    }

    pub(crate) fn standing(&self) -> &Standing {
        match &self.0 {
            Place::Embedded(embedded) => &embedded.engine.standing,
            Place::Valkey(valkey) => &valkey.shared.standing,
        }
    }

    /// Counts everything.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn stats(&self) -> Result<Stats, Unavailable> {
        let mut stats = match &self.0 {
            Place::Embedded(embedded) => embedded.stats().await,
            Place::Valkey(valkey) => valkey.stats().await,
        }?;
        let standing = self.standing();
        stats.allowed = standing.allowed.names().len() as u64;
        stats.correspondents = standing.correspondents.len() as u64;
        Ok(stats)
    }
}

impl Remembered {
    /// Whether one of its names is exactly this one, in any case.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.has_name(|own| !own.is_empty() && own.eq_ignore_ascii_case(name))
    }

    /// As a triplet that has this lower-case text in one of its names.
    pub(crate) fn listed_triplet(&self, filter: &str) -> Option<ListedTriplet> {
        let Triplet { first, last, passed } = self.row.triplet()?;
        let [network, sender, recipient] = read_names(&self.names)?.map(str::to_owned);
        let meant = self.has_name(|name| name.contains(filter));
        meant.then_some(ListedTriplet { network, sender, recipient, first: time(first), last: time(last), passed })
    }

    /// As a client that has this lower-case text in its address.
    pub(crate) fn listed_client(&self, filter: &str) -> Option<ListedClient> {
        let Client { count, last } = self.row.client()?;
        let [address, ..] = read_names(&self.names)?;
        let meant = address.contains(filter);
        meant.then(|| ListedClient { address: address.to_owned(), count, last: time(last) })
    }

    fn has_name(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        read_names(&self.names).is_some_and(|names| names.into_iter().any(is_meant))
    }
}

impl Stats {
    /// Counts this one as well.
    pub(crate) fn add(&mut self, row: Row) {
        match row {
            Row::Triplet(Triplet { passed: false, .. }) => self.triplets_waiting += 1,
            Row::Triplet(Triplet { passed: true, .. }) => self.triplets_passed += 1,
            Row::Client(_) => self.clients += 1,
        }
    }
}
