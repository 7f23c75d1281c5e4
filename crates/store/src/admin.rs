//! What an administrator asks of the store, and forgets.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::engine::{Entry, Row};
use crate::greylist::{Client, Triplet, time};
use crate::key::read_names;
use crate::{Store, Unavailable};

/// How many entries a page has at most.
const PAGE_MAX: usize = 1_000;

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    block: u64,
    at: u32,
}

/// Some entries, those first that were not touched for longest.
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
    /// Octets of the file; 0 without one.
    pub file_size: u64,
    /// How long those who came back had waited when they first passed, since the file was begun: for each step the bound
    /// below which they waited, and how many they were. The last has no bound.
    pub waits: Vec<(Option<Duration>, u64)>,
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
        self.page(after, limit, |entry| listed_triplet(entry, filter)).await
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
        self.page(after, limit, |entry| listed_client(entry, filter)).await
    }

    /// Forgets all triplets with exactly this network, sender or recipient, and the client of this address, in any case;
    /// says how many entries there were. They are gone from the disk when it returns.
    ///
    /// # Errors
    /// If the store cannot be read or written: some may be forgotten already.
    pub async fn forget(&self, filter: &str) -> Result<u64, Unavailable> {
        self.0.commit(Vec::new()).await?;
        let (mut forgotten, mut from) = (0, Some(0));
        while let Some(block) = from {
            let scanned = self.0.scan(block).await?;
            let is_meant =
                |entry: &&Entry| has_name(entry, |name| !name.is_empty() && name.eq_ignore_ascii_case(filter));
            let meant =
                Vec::from_iter(scanned.entries.iter().filter(is_meant).map(|entry| (entry.key, entry.block as u32)));
            if !meant.is_empty() {
                forgotten += self.0.commit(meant).await?;
            }
            from = scanned.next;
        }
        Ok(forgotten)
    }

    /// Counts everything.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn stats(&self) -> Result<Stats, Unavailable> {
        self.0.commit(Vec::new()).await?;
        let mut stats = Stats { waits: self.0.engine.waits.steps().collect(), ..Stats::default() };
        let mut from = Some(0);
        while let Some(block) = from {
            let scanned = self.0.scan(block).await?;
            for entry in &scanned.entries {
                match entry.row {
                    Row::Triplet(Triplet { passed: false, .. }) => stats.triplets_waiting += 1,
                    Row::Triplet(Triplet { passed: true, .. }) => stats.triplets_passed += 1,
                    Row::Client(_) => stats.clients += 1,
                }
            }
            from = scanned.next;
        }
        stats.file_size = self.0.engine.file_size();
        Ok(stats)
    }

    /// The first `limit` entries from a cursor that `listed` takes. What waits to be written comes with the first page.
    async fn page<T>(
        &self,
        after: Option<Cursor>,
        limit: usize,
        listed: impl Fn(&Entry) -> Option<T>,
    ) -> Result<Page<T>, Unavailable> {
        if after.is_none() {
            self.0.commit(Vec::new()).await?;
        }
        let start = after.unwrap_or(Cursor { block: 0, at: 0 });
        let mut entries = Vec::new();
        let mut from = Some(start.block);
        while let Some(block) = from {
            let scanned = self.0.scan(block).await?;
            for entry in &scanned.entries {
                let cursor = Cursor { block: entry.block, at: entry.at };
                if cursor < start {
                    continue;
                }
                if entries.len() >= limit.clamp(1, PAGE_MAX) {
                    return Ok(Page { entries, next: Some(cursor) });
                }
                entries.extend(listed(entry));
            }
            from = scanned.next;
        }
        Ok(Page { entries, next: None })
    }
}

fn has_name(entry: &Entry, is_meant: impl Fn(&str) -> bool) -> bool {
    read_names(&entry.names).is_some_and(|names| names.into_iter().any(is_meant))
}

fn listed_triplet(entry: &Entry, filter: &str) -> Option<ListedTriplet> {
    let Triplet { first, last, passed } = entry.row.triplet()?;
    let filter = filter.to_ascii_lowercase();
    let [network, sender, recipient] = read_names(&entry.names)?.map(str::to_owned);
    let meant = has_name(entry, |name| name.contains(&filter));
    meant.then_some(ListedTriplet { network, sender, recipient, first: time(first), last: time(last), passed })
}

fn listed_client(entry: &Entry, filter: &str) -> Option<ListedClient> {
    let Client { count, last } = entry.row.client()?;
    let [address, ..] = read_names(&entry.names)?;
    let meant = address.contains(&filter.to_ascii_lowercase());
    meant.then(|| ListedClient { address: address.to_owned(), count, last: time(last) })
}
