//! Listing, forgetting, counting.

use super::*;
use crate::{Cursor, ListedTriplet};

async fn all(store: &Store, filter: &str, limit: usize) -> Vec<ListedTriplet> {
    let (mut entries, mut after): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.triplets(filter, after, limit).await.unwrap();
        assert!(page.entries.len() <= limit);
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return entries;
        }
    }
}

#[test]
fn what_is_remembered_is_listed_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        for triplet in 0..700 {
            attempt(&store, triplet, triplet, 1_000 + triplet).await.unwrap();
        }
        for triplet in 0..70 {
            attempt(&store, triplet, triplet, 3_000).await.unwrap();
        }
        for (filter, limit, expected) in [
            ("", 1_000, 700),
            ("", 33, 700),
            ("SENDER69", 7, 11),
            ("user3@example.org", 1_000, 100),
            ("192.0.2.0", 50, 700),
            ("nobody", 5, 0),
        ] {
            let mut entries = all(&store, filter, limit).await;
            assert_eq!(entries.len(), expected, "{filter}");
            entries.sort_by(|one, other| one.sender.cmp(&other.sender));
            entries.dedup_by(|one, other| one.sender == other.sender);
            assert_eq!(entries.len(), expected, "{filter}: twice");
        }
        let first = ListedTriplet {
            network: "192.0.2.0".into(),
            sender: "sender33@example.com".into(),
            recipient: "user5@example.org".into(),
            first: time(1_033),
            last: time(3_000),
            passed: true,
        };
        assert_eq!(all(&store, "sender33@", 5).await, [first]);
        let clients = store.clients("192.0.0.6", None, 100).await.unwrap().entries;
        assert_eq!(clients.iter().filter(|client| client.count == 1 && client.last == time(3_000)).count(), 11);

        let stats = store.stats().await.unwrap();
        assert_eq!((stats.triplets_waiting, stats.triplets_passed, stats.clients), (630, 70, 70));
        assert_eq!(stats.waits.iter().map(|(_, count)| count).sum::<u64>(), 70);
        assert_eq!(stats.waits[3], (Some(Duration::from_secs(3_600)), 70));
        assert!(stats.file_size > 0);

        for (filter, expected) in [
            ("user3@Example.org", 100),
            ("user3@example.org", 0),
            ("sender33", 0),
            ("", 0),
            ("192.0.0.5", 1),
            ("sender1@example.com", 1),
        ] {
            assert_eq!(store.forget(filter).await, Ok(expected), "{filter}");
        }
    });
    // As nothing was written since, what the disk has is what was durable when `forget` returned.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("portcullis.redb"), copy.path().join("portcullis.redb")).unwrap();
    run(store.close());
    for directory in [copy, directory] {
        let store = open_tiny(directory.path(), 64 << 20);
        run(async {
            assert_eq!(all(&store, "user3@", 9).await, []);
            assert_eq!(attempt(&store, 9, 3, 3_001).await, Ok(Greylisted::New { wait: TERMS.delay }));
            assert!(matches!(attempt(&store, 8, 4, 3_001).await, Ok(Greylisted::Passed { first_time: false, .. })));
            let stats = store.stats().await.unwrap();
            assert_eq!((stats.triplets_waiting + stats.triplets_passed, stats.clients), (600, 69));
            assert_eq!(stats.waits.iter().map(|(_, count)| count).sum::<u64>(), 70);
            store.close().await;
        });
    }
}

#[test]
fn what_was_just_forgotten_is_not_remembered_by_memory() {
    run(async {
        let store = Store::in_memory();
        for round in 0..20 {
            attempt(&store, round, 1, 1_000 + round).await.unwrap();
            assert_eq!(store.forget("sender1@example.com").await, Ok(1));
            let answer = attempt_on(&store, round, 1, 1_500, &TERMS, false).await;
            assert_eq!(answer, Ok(Greylisted::New { wait: TERMS.delay }));
        }
    });
}

#[test]
fn privacy_keeps_no_names() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    let terms = Terms { privacy: true, ..TERMS };
    run(async {
        attempt_on(&store, 1, 1, 1_000, &terms, true).await.unwrap();
        attempt_on(&store, 1, 1, 1_400, &terms, true).await.unwrap();
        let [listed] = all(&store, "", 5).await.try_into().unwrap();
        assert_eq!((listed.sender.as_str(), listed.recipient.as_str(), listed.passed), ("", "", true));
        assert_eq!(store.forget("").await, Ok(0));
        store.close().await;
    });
    let file = std::fs::read(directory.path().join("portcullis.redb")).unwrap();
    assert!(!file.windows(7).any(|octets| octets == b"example"));
}
