//! Who need not wait: allowed names and correspondents, and how they are remembered.

use redb::{Database, TableDefinition};

use super::*;
use crate::AllowedName;

const DAY: Seconds = 86_400;

fn name(text: &str) -> AllowedName {
    text.parse().unwrap()
}

/// A first attempt of a stranger who says that this is the sender.
async fn from_sender(store: &Store, sender_address: &str, now: Seconds) -> Greylisted {
    let terms = Terms { correspondents: Duration::from_secs(90 * u64::from(DAY)), ..TERMS };
    let attempt = Attempt {
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        client_name: "unknown",
        sender_address,
        client: "192.0.2.1",
        network: "192.0.2.0",
        sender: sender_address,
        recipient: "u@example.org",
        now: time(now),
        terms: &terms,
    };
    store.peek(&attempt).await.unwrap()
}

fn waits(answer: Greylisted) -> bool {
    matches!(answer, Greylisted::New { .. })
}

#[test]
fn what_stands_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        assert_eq!(store.allow(&name("Friend.example"), time(7)).await, Ok(true));
        assert_eq!(store.allow(&name("friend.example"), time(8)).await, Ok(false));
        assert_eq!(store.allow(&name("192.0.2.0/24"), time(9)).await, Ok(true));
        assert_eq!(store.disallow(&name("192.0.2.0/24")).await, Ok(true));
        assert_eq!(store.disallow(&name("192.0.2.0/24")).await, Ok(false));
        store.learn_correspondent("Pal@far.example", time(10 * DAY));
        store.close().await;
    });
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        let allowed = store.allowed();
        assert_eq!(allowed.len(), 1);
        assert_eq!((allowed[0].name.as_str(), allowed[0].since), ("friend.example", time(7)));
        for (sender, now, expected) in [
            ("a@mx.friend.example", DAY, false),
            ("a@other.example", DAY, true),
            ("pal@FAR.example", 11 * DAY, false),
            ("pal@far.example", 99 * DAY, false),
            ("pal@far.example", 101 * DAY, true),
            ("other@far.example", 11 * DAY, true),
            ("", 11 * DAY, true),
        ] {
            assert_eq!(waits(from_sender(&store, sender, now).await), expected, "{sender} on day {}", now / DAY);
        }
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.allowed, stats.correspondents), (1, 1));
        store.close().await;
    });
}

#[test]
fn a_list_of_names_has_an_end() {
    let store = Store::in_memory();
    run(async {
        for number in 0..1_000 {
            assert_eq!(store.allow(&name(&format!("n{number}.example")), time(1)).await, Ok(true));
        }
        assert_eq!(store.allow(&name("n1000.example"), time(1)).await, Err(Unavailable::Full));
        assert_eq!(store.disallow(&name("n5.example")).await, Ok(true));
        assert_eq!(store.allow(&name("n1000.example"), time(1)).await, Ok(true));
    });
}

/// A file of schema 1, which had none of these.
#[test]
fn a_file_of_an_older_version_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open_tiny(directory.path(), 64 << 20);
        attempt(&store, 1, 1, 1_000).await.unwrap();
        store.close().await;
    });
    let database = Database::open(directory.path().join("portcullis.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write.delete_table(TableDefinition::<&str, u32>::new("greylist_allowed")).unwrap();
    write.delete_table(TableDefinition::<u128, u32>::new("greylist_correspondents")).unwrap();
    write.delete_table(TableDefinition::<&str, &[u8]>::new("bans")).unwrap();
    write.open_table(crate::engine::META).unwrap().insert("schema", 1_u64.to_le_bytes().as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        assert!(matches!(attempt(&store, 1, 1, 1_100).await, Ok(Greylisted::TooEarly { .. })));
        assert_eq!(store.allow(&name("friend.example"), time(7)).await, Ok(true));
        assert_eq!(store.ban(bans::ban("192.0.2.1", 7, None)).await, Ok(true));
        store.close().await;
    });
    let store = open_tiny(directory.path(), 64 << 20);
    assert_eq!((store.allowed().len(), store.bans(time(8), None, 9).len()), (1, 1));
}
