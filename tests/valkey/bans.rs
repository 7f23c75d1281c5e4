//! What one host bans is banned by all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use store::{Ban, BanChange, Config, Store, Unavailable};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::PATIENCE;
use crate::support::peers::present;
use crate::support::redis::{PEERS, Redis};
use crate::support::wait_for;

const NOW: SystemTime = UNIX_EPOCH;

fn open(url: &str) -> Store {
    let config = Config { url: url.into(), timeout: Duration::from_secs(5), ..Config::default() };
    Store::open(&config, "/nowhere".as_ref()).unwrap()
}

/// Of a network, for so many seconds or for good.
fn ban(network: &str, seconds: Option<u64>) -> Ban {
    let until = seconds.map(|seconds| NOW + Duration::from_secs(seconds));
    Ban { network: network.parse().unwrap(), since: NOW, until, reason: "5 failures".into(), by: "postfix".into() }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn heard(heard: &mut Receiver<BanChange>, expected: BanChange) {
    assert_eq!(timeout(PATIENCE, heard.recv()).await.unwrap().unwrap(), expected);
}

fn banned(store: &Store) -> Vec<String> {
    store.bans(NOW, None, 9_999).iter().map(|ban| ban.network.to_string()).collect()
}

/// Bans at one of two hosts that remember there, and what the other hears of it.
pub(super) fn check(url: &str) -> [Store; 2] {
    let hosts = [(); 2].map(|()| open(url));
    let [one, other] = &hosts;
    let [mut own, mut others] = [one.subscribe(), other.subscribe()];
    let (short, long) = (ban("192.0.2.1", Some(100)), ban("192.0.2.1", None));
    runtime().block_on(async {
        assert_eq!(one.ban(short.clone()).await, Ok(true));
        assert_eq!(one.banned("192.0.2.1".parse().unwrap(), NOW), Some(short.clone()));
        heard(&mut own, BanChange::Banned(short.clone())).await;
        heard(&mut others, BanChange::Banned(short.clone())).await;
        assert_eq!(other.banned("192.0.2.1".parse().unwrap(), NOW), Some(short.clone()));
        // Valkey knows what a host has not learnt yet.
        assert_eq!(other.ban(long.clone()).await, Ok(true));
        assert_eq!(one.ban(short).await, Ok(false));
        heard(&mut own, BanChange::Banned(long)).await;
        assert_eq!(one.unban("192.0.2.1".parse().unwrap()).await, Ok(true));
        assert_eq!(other.unban("192.0.2.1".parse().unwrap()).await, Ok(false));
        heard(&mut own, BanChange::Unbanned("192.0.2.1".parse().unwrap())).await;
    });
    assert_eq!((banned(one), banned(other)), (vec![], vec![]));
    hosts
}

#[test]
fn a_ban_at_one_host_is_one_at_all() {
    if !present("valkey::bans", &PEERS) {
        return;
    }
    let redis = Redis::start(&["--appendonly", "no"]);
    let [one, other] = check(&redis.url());
    let agree = |what: &str, store: &Store| wait_for(what, PATIENCE, || (banned(store) == banned(&one)).then_some(()));
    // What cannot be read is no ban, and holds up no others.
    redis.cli(&["hset", "portcullis:bans", "192.0.2.9/32", "of the future", "nonsense", "x"]);
    let runtime = runtime();
    runtime.block_on(async {
        let mut others = other.subscribe();
        let last = ban("2001:db8::/32", Some(50));
        // More than the hash names: who looks late has to read all.
        for number in 0..1_500 {
            assert_eq!(one.ban(ban(&format!("198.51.{}.{}", number / 250, number % 250), None)).await, Ok(true));
        }
        assert_eq!(one.ban(last.clone()).await, Ok(true));
        while timeout(PATIENCE, others.recv()).await.unwrap() != Ok(BanChange::Banned(last.clone())) {}
    });
    assert_eq!(banned(&one).len(), 1_501);
    agree("the other host", &other);
    agree("one that comes later", &open(&redis.url()));
    // What is over goes with the next one, at all hosts.
    let next = Ban { since: NOW + Duration::from_secs(60), ..ban("192.0.2.2", None) };
    assert_eq!(runtime.block_on(one.ban(next)), Ok(true));
    assert_eq!(redis.cli(&["hexists", "portcullis:bans", "[2001:db8::]/32"]).trim(), "0");
    agree("the other host to forget it", &other);
}

#[test]
fn bans_outlive_a_redis_that_is_away_or_forgets() {
    if !present("valkey::bans_away", &PEERS) {
        return;
    }
    let mut redis = Redis::start(&[]);
    let [one, other] = check(&redis.url());
    let runtime = runtime();
    let (kept, gone) = (ban("192.0.2.0/24", None), ban("203.0.113.1", None));
    let mut others = other.subscribe();
    for ban in [&kept, &gone] {
        assert_eq!(runtime.block_on(one.ban(ban.clone())), Ok(true));
        runtime.block_on(heard(&mut others, BanChange::Banned(ban.clone())));
    }
    redis.kill();
    assert_eq!(runtime.block_on(one.unban(gone.network)), Err(Unavailable::Away));
    assert_eq!(banned(&one), ["192.0.2.0/24", "203.0.113.1/32"]);
    redis.start_again();
    wait_for("the host to come back", PATIENCE, || runtime.block_on(one.unban(gone.network)).ok());
    runtime.block_on(heard(&mut others, BanChange::Unbanned(gone.network)));
    // A Redis that has lost everything is told again; nobody is banned less, and nobody hears of it.
    redis.cli(&["flushall"]);
    let is_told = || redis.cli(&["hkeys", "portcullis:bans"]).contains("192.0.2.0/24").then_some(());
    wait_for("Redis to be told again", PATIENCE, is_told);
    let new = ban("203.0.113.2", None);
    assert_eq!(runtime.block_on(one.ban(new.clone())), Ok(true));
    runtime.block_on(heard(&mut others, BanChange::Banned(new)));
    assert_eq!(banned(&other), ["192.0.2.0/24", "203.0.113.2/32"]);
}
