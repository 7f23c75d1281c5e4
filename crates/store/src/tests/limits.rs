//! What a stranger can make grow.

use std::sync::atomic::Ordering;

use super::*;
use crate::Config;

/// Attempts that are never repeated, until the file is full: it does not grow over its limit, and what passed stays.
#[test]
fn the_file_is_bounded_and_what_passed_stays() {
    let directory = tempfile::tempdir().unwrap();
    let size_max = 8 << 20;
    let store = open_tiny(directory.path(), size_max);
    let passed = 200;
    run(async {
        for now in [1_000, 2_000] {
            for number in 0..passed {
                attempt(&store, number, number, now).await.unwrap();
            }
        }
        let (mut full, mut number) = (0, passed);
        while store.counters().dropped.load(Ordering::Relaxed) < 20_000 {
            for _ in 0..2_000 {
                number += 1;
                match attempt(&store, number % 60_000, number, 2_000 + number / 100).await {
                    Ok(_) => {}
                    Err(Unavailable::Full) => full += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            commit(&store).await;
            assert!(store.stats().await.unwrap().file_size <= size_max);
            assert!(number < 1_000_000, "the file is never full");
        }
        assert!(full < number / 2, "{full} of {number}");
        for number in 0..passed {
            let answer = attempt(&store, number, number, 40_000).await;
            assert!(matches!(answer, Ok(Greylisted::Passed { first_time: false, .. })), "{answer:?}");
        }
        store.close().await;
    });
}

#[test]
fn memory_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        for number in 0..20_000 {
            attempt(&store, number % 60_000, number, 1_000).await.unwrap();
        }
        commit(&store).await;
        let table = table(&store);
        assert_eq!(table.waiting(), 0);
        let recent: usize = table.numbers().map(|number| table.shard(number).recent_len()).sum();
        assert!(recent <= RECENT_TINY, "{recent}");
        store.close().await;
    });
}

/// Names longer than others need are remembered by their hash alone, and what waits to be written has its own bound.
#[test]
fn changes_that_wait_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 4 << 30);
    run(async {
        let terms = &TERMS;
        let mut refused = false;
        for number in 0..200_000 {
            let sender = format!("{number}{}@example.com", "x".repeat(900));
            let attempt = Attempt {
                address: Ipv4Addr::LOCALHOST.into(),
                client_name: "unknown",
                sender_address: "",
                client: "192.0.2.1",
                network: "192.0.2.0",
                sender: &sender,
                recipient: "",
                now: time(1_000),
                terms,
            };
            // The writer never yields here: one thread asks faster than another writes, or the test ends.
            match store.greylist(&attempt).await {
                Ok(_) => assert!(table(&store).waiting() < 26 << 20),
                Err(error) => {
                    assert_eq!(error, Unavailable::Busy);
                    refused = true;
                    break;
                }
            }
        }
        assert_eq!(refused, store.counters().unavailable.load(Ordering::Relaxed) > 0);
        let sender = "y".repeat(5_000);
        commit(&store).await;
        let attempt = Attempt {
            address: Ipv4Addr::LOCALHOST.into(),
            client_name: "unknown",
            sender_address: "",
            client: "192.0.2.1",
            network: "192.0.2.0",
            sender: &sender,
            recipient: "",
            now: time(1_000),
            terms,
        };
        assert!(matches!(store.greylist(&attempt).await, Ok(Greylisted::New { .. })));
        commit(&store).await;
        let again = Attempt { now: time(1_010), ..attempt };
        assert!(matches!(store.peek(&again).await, Ok(Greylisted::TooEarly { .. })));
        assert_eq!(store.triplets("yyy", None, 10).await.unwrap().entries, []);
        store.close().await;
    });
}

/// What counts no more is swept out of a file that is written again and again.
#[test]
fn a_file_that_is_rewritten_stays_small() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::default(), directory.path()).unwrap();
    run(async {
        for round in 0..30 {
            for number in 0..4_000 {
                attempt(&store, number, number, 1_000 + round).await.unwrap();
            }
            commit(&store).await;
        }
        let stats = store.stats().await.unwrap();
        assert_eq!(stats.triplets_waiting, 4_000);
        assert!(stats.file_size < 20 << 20, "{}", stats.file_size);
        store.close().await;
    });
}
