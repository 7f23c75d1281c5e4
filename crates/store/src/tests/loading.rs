//! A large file is read while others ask.

use std::sync::Arc;

use redb::{Database, ReadableTable};

use super::bans::ban;
use super::*;
use crate::engine::{JOURNAL, Writer};

const ENTRIES: u32 = 3_000;
/// A part of the journal has one commit.
const TOGETHER_TINY: usize = 1;
const SIZE_MAX: u64 = 64 << 20;

/// A closed store with a journal of many rows: each entry changed twice, some forgotten, and one ban.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), SIZE_MAX);
    run(async {
        for now in [1_000, 1_010] {
            for number in 0..ENTRIES {
                attempt(&store, number, number, now).await.unwrap();
                if number % 100 == 0 {
                    store.forget(&format!("sender{number}@example.com")).await.unwrap();
                }
            }
        }
        assert_eq!(store.ban(ban("192.0.2.0/24", 7, None)).await, Ok(true));
        store.close().await;
    });
    directory
}

/// One who has opened the file, and has read one row of its journal.
fn writer(directory: &Path) -> Writer {
    Embedded::writer(Some(directory), SIZE_MAX, RECENT_TINY, TOGETHER_TINY).unwrap()
}

fn open_in_parts(directory: &Path) -> Store {
    Store::embedded(Embedded::start(writer(directory)).unwrap())
}

/// All that was not forgotten is known, and nothing else.
async fn check(store: &Store) {
    // However long that takes on a machine with much to do.
    while store.stats().await == Err(Unavailable::Loading) {}
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.triplets_waiting, u64::from(ENTRIES - ENTRIES / 100));
    for number in 0..ENTRIES {
        let answer = attempt_on(store, number, number, 1_020, &TERMS, false).await;
        let is_known = matches!(answer, Ok(Greylisted::TooEarly { .. }));
        assert_eq!(is_known, number % 100 != 0, "{number}: {answer:?}");
    }
}

#[test]
fn a_large_file_is_known_whole_and_changes_go_on() {
    let directory = filled();
    let store = open_in_parts(directory.path());
    run(async {
        check(&store).await;
        for number in 0..ENTRIES {
            attempt(&store, number, number, 2_000).await.unwrap();
        }
        store.close().await;
    });
    drop(store);
    let store = open_tiny(directory.path(), SIZE_MAX);
    let stats = run(store.stats()).unwrap();
    assert_eq!((stats.triplets_passed, stats.triplets_waiting), (2_970, 30), "nothing is there twice");
    run(store.close());
}

/// Who asks meanwhile passes after a while. What an administrator changes is not held up, nor undone by what is read later.
#[test]
fn nobody_waits_long_for_a_large_file() {
    let directory = filled();
    let writer = writer(directory.path());
    let engine = Arc::clone(&writer.engine);
    // Nothing can be put into the index.
    let held = Vec::from_iter(engine.table.numbers().map(|number| engine.table.shard(number)));
    let store = Store::embedded(Embedded::start(writer).unwrap());
    run(async {
        assert_eq!(attempt(&store, 1, 1, 1_020).await, Err(Unavailable::Loading));
        assert!(store.banned([192, 0, 2, 9].into(), time(8)).is_some());
        let network = "192.0.2.0/24".parse().unwrap();
        let (unbanned, ()) = tokio::join!(store.unban(network), async { drop(held) });
        assert_eq!(unbanned, Ok(true));
        assert_eq!(store.allow(&"one.example".parse().unwrap(), time(9)).await, Ok(true));
        // What is left of the file is not read any more.
        store.close().await;
    });
    drop((store, engine));
    let store = open_in_parts(directory.path());
    run(async {
        check(&store).await;
        assert_eq!((store.bans(time(9), None, 9).len(), store.allowed().len()), (0, 1));
        store.close().await;
    });
}

/// A part that cannot be read is found while others ask: the file is set aside, and what stands is in the new one.
#[test]
fn damage_that_is_found_later_stops_nothing() {
    let directory = filled();
    let database = Database::open(directory.path().join("portcullis.redb")).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut journal = write.open_table(JOURNAL).unwrap();
        let number = journal.iter().unwrap().nth(20).unwrap().unwrap().0.value();
        journal.insert(number, [7; 9].as_slice()).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let store = open_in_parts(directory.path());
    run(async {
        let mut answer = Err(Unavailable::Loading);
        while answer == Err(Unavailable::Loading) {
            answer = attempt(&store, 1, 1, 1_020).await;
        }
        assert_eq!(answer, Ok(Greylisted::New { wait: TERMS.delay }));
        store.close().await;
    });
    drop(store);
    let store = open_tiny(directory.path(), SIZE_MAX);
    run(async {
        let again = attempt(&store, 1, 1, 1_021).await;
        assert!(matches!(again, Ok(Greylisted::TooEarly { .. })), "{again:?}");
        assert_eq!(store.bans(time(8), None, 9).len(), 1);
        store.close().await;
    });
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}
