//! Many random attempts, against tables that forget nothing.

use std::collections::HashMap;

use super::*;
use crate::Counters;
use crate::greylist::step;

/// One history: its seed, the terms, how many clients and triplets, how far the clock goes at most with each attempt.
struct Case {
    seed: u64,
    terms: Terms,
    clients: u32,
    triplets: u32,
    pace: u32,
}

fn check(case: &Case) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open_tiny(directory.path(), 64 << 20);
    let (mut random, mut now) = (Random(case.seed), 1_000_000);
    let (mut clients, mut triplets) = (HashMap::new(), HashMap::new());
    let mut counted = 0;
    for number in 0..6_000 {
        now += random.below(case.pace);
        let (client, triplet) = (random.below(case.clients), random.below(case.triplets));
        let expected = step(now, &case.terms, clients.get(&client).copied(), triplets.get(&triplet).copied());
        let remember = random.below(10) > 0;
        let answer = run(attempt_on(&store, client, triplet, now, &case.terms, remember));
        assert_eq!(answer, Ok(expected.answer), "seed {}, attempt {number} at {now}", case.seed);
        if remember {
            expected.client.map(|after| clients.insert(client, after));
            expected.triplet.map(|after| triplets.insert(triplet, after));
        }
        if random.below(60) == 0 {
            run(commit(&store));
        }
        if random.below(600) == 0 {
            counted += store.counters().expired.load(std::sync::atomic::Ordering::Relaxed);
            run(store.close());
            store = open_tiny(directory.path(), 64 << 20);
        }
    }
    counted += count(store.counters());
    assert!(counted > 0, "seed {}: nothing expired", case.seed);
    run(store.close());
}

fn count(counters: &Counters) -> u64 {
    assert!(counters.from_file.load(std::sync::atomic::Ordering::Relaxed) > 0, "the file was never read");
    counters.expired.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn random_attempts_are_remembered() {
    let short = Terms { retry_window: Duration::from_secs(3_000), max_age: Duration::from_secs(20_000), ..TERMS };
    for case in [
        Case { seed: 1, terms: short, clients: 40, triplets: 400, pace: 60 },
        Case { seed: 2, terms: Terms { privacy: true, ..short }, clients: 400, triplets: 900, pace: 20 },
        Case { seed: 3, terms: Terms { auto_whitelist_clients: 0, ..short }, clients: 9, triplets: 200, pace: 300 },
    ] {
        check(&case);
    }
}

/// Many ask at once for the same triplet, which must be read from the file: only one of them is the first to pass.
#[test]
fn attempts_at_once_see_one_another() {
    let directory = tempfile::tempdir().unwrap();
    let triplets = 40;
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        for triplet in 0..triplets {
            attempt(&store, triplet, triplet, 1_000).await.unwrap();
        }
        store.close().await;
    });
    let store = open_tiny(directory.path(), 64 << 20);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    threads.block_on(async {
        let asked = (0..triplets * 16).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { attempt(&store, number % triplets, number % triplets, 1_400).await })
        });
        let asked = Vec::from_iter(asked);
        let mut firsts = 0;
        for answer in asked {
            match answer.await.unwrap().unwrap() {
                Greylisted::Passed { first_time, client_count: Some(1), .. } => firsts += u32::from(first_time),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(firsts, triplets);
        assert_eq!(store.stats().await.unwrap().clients, u64::from(triplets));
        store.close().await;
    });
}

#[test]
fn memory_alone_remembers_too() {
    run(async {
        let store = Store::in_memory();
        assert_eq!(attempt(&store, 1, 1, 1_000).await, Ok(Greylisted::New { wait: TERMS.delay }));
        commit(&store).await;
        let again = Greylisted::TooEarly { first: time(1_000), wait: Duration::from_secs(299) };
        assert_eq!(attempt(&store, 1, 1, 1_001).await, Ok(again));
        store.close().await;
        assert_eq!(attempt(&store, 1, 1, 1_001).await, Err(Unavailable::Closed));
    });
}
