//! The store as its users see it, with a memory so small that everything goes through the file.

mod admin;
mod bans;
mod crash;
mod damage;
pub(crate) mod figures;
mod limits;
mod loading;
mod model;
mod standing;

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::engine::{Embedded, TOGETHER, Table};
use crate::greylist::{Seconds, time};
use crate::{Attempt, Greylisted, Place, Store, Terms, Unavailable};

const TERMS: Terms = Terms::POSTGREY;

/// Two generations of one entry in each shard.
const RECENT_TINY: usize = 512;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn open_tiny(directory: &Path, size_max: u64) -> Store {
    Store::embedded(Embedded::open(Some(directory), size_max, RECENT_TINY, TOGETHER).unwrap())
}

fn table(store: &Store) -> &Table {
    let Place::Embedded(embedded) = &store.0 else { panic!("the store is not embedded") };
    &embedded.engine.table
}

/// One attempt of a client numbered for a triplet numbered.
async fn attempt(store: &Store, client: u32, triplet: u32, now: Seconds) -> Result<Greylisted, Unavailable> {
    attempt_on(store, client, triplet, now, &TERMS, true).await
}

async fn attempt_on(
    store: &Store,
    client: u32,
    triplet: u32,
    now: Seconds,
    terms: &Terms,
    remember: bool,
) -> Result<Greylisted, Unavailable> {
    let client = format!("192.0.{}.{}", client / 256, client % 256);
    let sender = format!("sender{triplet}@example.com");
    let recipient = format!("user{}@example.org", triplet % 7);
    let attempt = Attempt {
        address: Ipv4Addr::LOCALHOST.into(),
        client_name: "unknown",
        sender_address: "",
        client: &client,
        network: "192.0.2.0",
        sender: &sender,
        recipient: &recipient,
        now: time(now),
        terms,
    };
    if remember { store.greylist(&attempt).await } else { store.peek(&attempt).await }
}

/// What waits to be written is on the disk when this returns.
async fn commit(store: &Store) {
    store.triplets("", None, 1).await.unwrap();
}

/// A row of numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}
