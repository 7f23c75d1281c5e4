//! The same answers as by the embedded engine.

use std::net::Ipv4Addr;
use std::time::{Duration, UNIX_EPOCH};

use store::{Attempt, Config, Store, Terms};

use crate::support::peers::present;
use crate::support::random::Random;
use crate::support::redis::{PEERS, Redis};

const TERMS: Terms = Terms {
    delay: Duration::from_secs(300),
    retry_window: Duration::from_secs(3_000),
    max_age: Duration::from_secs(20_000),
    auto_whitelist_clients: 3,
    ..Terms::POSTGREY
};

/// One history: its seed, the terms, how many clients and triplets, how far the clock goes at most with each attempt.
struct Case {
    seed: u64,
    terms: Terms,
    clients: usize,
    triplets: usize,
    pace: usize,
}

fn open(redis: &Redis) -> Store {
    let config = Config { url: redis.url().as_str().into(), timeout: Duration::from_secs(5), ..Config::default() };
    Store::open(&config, "/nowhere".as_ref()).unwrap()
}

/// Two hosts by turns, with a third one now and then that knows nothing yet, against one that remembers alone.
async fn check(case: &Case) {
    let redis = Redis::start(&["--appendonly", "no"]);
    let (alone, mut hosts) = (Store::in_memory(), [open(&redis), open(&redis)]);
    let (mut random, mut now) = (Random::new(case.seed), 1_000_000);
    for number in 0..3_000 {
        now += random.below(case.pace) as u64;
        let (client, triplet) = (random.below(case.clients), random.below(case.triplets));
        let (client, sender) = (format!("192.0.2.{client}"), format!("sender{triplet}@example.com"));
        let attempt = Attempt {
            address: Ipv4Addr::LOCALHOST.into(),
            client_name: "unknown",
            sender_address: "",
            client: &client,
            network: "192.0.2.0",
            sender: &sender,
            recipient: "user@example.org",
            now: UNIX_EPOCH + Duration::from_secs(now),
            terms: &case.terms,
        };
        if random.one_in(300) {
            hosts[0].close().await;
            hosts[0] = open(&redis);
        }
        let host = &hosts[random.below(2)];
        let (found, expected) = match random.one_in(10) {
            true => (host.peek(&attempt).await, alone.peek(&attempt).await),
            false => (host.greylist(&attempt).await, alone.greylist(&attempt).await),
        };
        assert_eq!(found, expected, "seed {}, attempt {number} at {now}", case.seed);
        assert!(found.is_ok(), "{found:?}");
    }
    for host in &hosts {
        host.close().await;
    }
    let (together, alone) = (open(&redis).stats().await.unwrap(), alone.stats().await.unwrap());
    assert_eq!(together.waits, alone.waits);
    assert!(together.waits.iter().any(|(_, count)| *count > 50), "{together:?}");
}

#[test]
fn random_attempts_are_answered_as_by_the_embedded_engine() {
    if !present("valkey::random_attempts", &PEERS) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for case in [
        Case { seed: 1, terms: TERMS, clients: 40, triplets: 300, pace: 60 },
        Case { seed: 2, terms: Terms { privacy: true, ..TERMS }, clients: 200, triplets: 500, pace: 20 },
        Case { seed: 3, terms: Terms { auto_whitelist_clients: 0, ..TERMS }, clients: 9, triplets: 200, pace: 300 },
    ] {
        runtime.block_on(check(&case));
    }
}

/// Many ask at once at two hosts for the same triplets: only one of them is the first to pass.
#[test]
fn attempts_at_once_see_one_another() {
    if !present("valkey::at_once", &PEERS) {
        return;
    }
    let redis = Redis::start(&["--appendonly", "no"]);
    let hosts = [open(&redis), open(&redis)];
    let triplets = 40;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ask = |number: usize, now: u64| {
        let (host, triplet) = (hosts[number / triplets % 2].clone(), number % triplets);
        runtime.spawn(async move {
            let (client, sender) = (format!("192.0.2.{triplet}"), format!("sender{triplet}@example.com"));
            let now = UNIX_EPOCH + Duration::from_secs(now);
            let attempt = Attempt {
                address: Ipv4Addr::LOCALHOST.into(),
                client_name: "unknown",
                sender_address: "",
                client: &client,
                network: &client,
                sender: &sender,
                recipient: "",
                now,
                terms: &TERMS,
            };
            host.greylist(&attempt).await.unwrap()
        })
    };
    let all = |count: usize, now: u64| {
        let asked = Vec::from_iter((0..count).map(|number| ask(number, now)));
        Vec::from_iter(asked.into_iter().map(|answer| runtime.block_on(answer).unwrap()))
    };
    all(triplets, 1_000);
    let firsts = all(triplets * 16, 1_400).into_iter().filter(|answer| match answer {
        // Whoever comes second may be there before the client is counted.
        store::Greylisted::Passed { first_time, client_count: Some(0 | 1), .. } => *first_time,
        other => panic!("{other:?}"),
    });
    assert_eq!(firsts.count(), triplets);
    assert_eq!(runtime.block_on(hosts[0].stats()).unwrap().clients, triplets as u64);
}
