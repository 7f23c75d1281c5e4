//! Bans: which of them counts, when it is over, how it is remembered, and who hears of it.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use facts::Network;
use tokio::sync::broadcast::error::TryRecvError;

use super::*;
use crate::Ban;
use crate::ban::{BANS_MAX, BanChange};

/// What is done to a store in a case.
enum Step {
    /// Bans a network from one time to another, or for good. Does that change anything?
    Ban(&'static str, Seconds, Option<Seconds>, bool),
    /// Takes it back. Was there one?
    Unban(&'static str, bool),
    /// By which network is this address banned at this time?
    Banned(&'static str, Seconds, Option<&'static str>),
    /// All networks that are banned at this time.
    Bans(Seconds, &'static [&'static str]),
    /// What those who subscribed have heard since.
    Heard(&'static [&'static str]),
}

use Step::{Banned, Bans, Heard, Unban};

pub(super) fn ban(network: &str, since: Seconds, until: Option<Seconds>) -> Ban {
    let network = network.parse().unwrap();
    Ban { network, since: time(since), until: until.map(time), reason: "5 failures".into(), by: "postfix".into() }
}

fn networks(bans: &[Ban]) -> Vec<String> {
    bans.iter().map(|ban| ban.network.to_string()).collect()
}

fn check(steps: &[Step]) {
    let store = Store::in_memory();
    let mut heard = store.subscribe();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Ban(network, since, until, expected) => {
                assert_eq!(run(store.ban(ban(network, since, until))), Ok(expected), "step {number}");
            }
            Unban(network, expected) => {
                assert_eq!(run(store.unban(network.parse().unwrap())), Ok(expected), "step {number}");
            }
            Banned(address, now, expected) => {
                let found = store.banned(address.parse().unwrap(), time(now)).map(|ban| ban.network.to_string());
                assert_eq!(found.as_deref(), expected, "step {number}");
            }
            Bans(now, expected) => assert_eq!(networks(&store.bans(time(now), None, 99)), expected, "step {number}"),
            Heard(expected) => {
                let told = std::iter::from_fn(|| heard.try_recv().ok()).map(|change| match change {
                    BanChange::Banned(ban) => format!("+{}", ban.network),
                    BanChange::Unbanned(network) => format!("-{network}"),
                });
                assert_eq!(Vec::from_iter(told), expected, "step {number}");
            }
        }
    }
    run(store.close());
}

#[test]
fn what_follows_from_bans() {
    let cases: &[&[Step]] = &[
        // One address, up to its end.
        &[
            Banned("192.0.2.1", 100, None),
            Step::Ban("192.0.2.1", 100, Some(200), true),
            Banned("192.0.2.1", 100, Some("192.0.2.1/32")),
            Banned("192.0.2.1", 199, Some("192.0.2.1/32")),
            Banned("192.0.2.1", 200, None),
            Banned("192.0.2.2", 100, None),
            Bans(199, &["192.0.2.1/32"]),
            Bans(200, &[]),
            Heard(&["+192.0.2.1/32"]),
        ],
        // A longer ban replaces a shorter one; one that is over is none.
        &[
            Step::Ban("192.0.2.1", 100, Some(200), true),
            Step::Ban("192.0.2.1", 150, Some(200), false),
            Step::Ban("192.0.2.1", 150, Some(180), false),
            Step::Ban("192.0.2.1", 150, Some(250), true),
            Banned("192.0.2.1", 249, Some("192.0.2.1/32")),
            Step::Ban("192.0.2.1", 300, Some(310), true),
            Step::Ban("192.0.2.1", 301, None, true),
            Step::Ban("192.0.2.1", 302, None, false),
            Step::Ban("192.0.2.1", 302, Some(900_000), false),
            Banned("192.0.2.1", Seconds::MAX, Some("192.0.2.1/32")),
            Heard(&["+192.0.2.1/32"; 4]),
        ],
        // Networks within one another: the smallest that counts.
        &[
            Step::Ban("192.0.2.0/24", 100, Some(300), true),
            Step::Ban("192.0.2.1", 100, Some(200), true),
            Step::Ban("0.0.0.0/0", 100, Some(400), true),
            Banned("192.0.2.1", 150, Some("192.0.2.1/32")),
            Banned("192.0.2.2", 150, Some("192.0.2.0/24")),
            Banned("192.0.2.1", 250, Some("192.0.2.0/24")),
            Banned("192.0.2.1", 350, Some("0.0.0.0/0")),
            Banned("198.51.100.1", 350, Some("0.0.0.0/0")),
            Banned("198.51.100.1", 400, None),
            Banned("2001:db8::1", 150, None),
            Bans(150, &["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32"]),
            Unban("192.0.2.0/24", true),
            Unban("192.0.2.0/24", false),
            Banned("192.0.2.2", 150, Some("0.0.0.0/0")),
            Banned("192.0.2.1", 150, Some("192.0.2.1/32")),
        ],
        &[
            Step::Ban("2001:db8:1::/64", 100, None, true),
            Step::Ban("2001:db8::/32", 100, None, true),
            Step::Ban("203.0.113.0/24", 100, None, true),
            Banned("2001:db8:1::99", 100, Some("[2001:db8:1::]/64")),
            Banned("2001:db8:2::99", 100, Some("[2001:db8::]/32")),
            Banned("2001:db9::", 100, None),
            Bans(100, &["203.0.113.0/24", "[2001:db8::]/32", "[2001:db8:1::]/64"]),
        ],
        // What is over goes with the next ban.
        &[
            Step::Ban("192.0.2.1", 100, Some(200), true),
            Step::Ban("192.0.2.2", 100, Some(210), true),
            Step::Ban("192.0.2.3", 205, None, true),
            Heard(&["+192.0.2.1/32", "+192.0.2.2/32", "-192.0.2.1/32", "+192.0.2.3/32"]),
            Unban("192.0.2.1", false),
            Unban("192.0.2.2", true),
            Heard(&["-192.0.2.2/32"]),
        ],
    ];
    cases.iter().for_each(|steps| check(steps));
}

#[test]
fn pages_follow_each_other() {
    let store = Store::in_memory();
    let all: Vec<_> = (0..10).map(|number| format!("192.0.2.{number}/32")).collect();
    run(async {
        for network in all.iter().rev() {
            assert_eq!(store.ban(ban(network, 7, None)).await, Ok(true));
        }
    });
    let (mut told, mut after) = (Vec::new(), None);
    loop {
        let page = store.bans(time(8), after, 3);
        after = page.last().map(|ban| ban.network);
        told.extend(networks(&page));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(told, all);
}

#[test]
fn bans_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    let kept = [ban("192.0.2.1", 7, Some(99)), ban("192.0.2.3", 7, None), ban("2001:db8::/32", 7, Some(50))];
    run(async {
        for ban in kept.iter().chain(&[ban("192.0.2.2", 7, None)]) {
            assert_eq!(store.ban(ban.clone()).await, Ok(true));
        }
        assert_eq!(store.unban("192.0.2.2".parse().unwrap()).await, Ok(true));
        store.close().await;
        assert_eq!(store.ban(ban("192.0.2.9", 7, None)).await, Err(Unavailable::Closed));
    });
    let store = open_tiny(directory.path(), 64 << 20);
    assert_eq!(store.bans(time(8), None, 99), kept);
    run(async {
        // What is over is gone from the disk with the next one.
        assert_eq!(store.ban(ban("192.0.2.4", 60, None)).await, Ok(true));
        store.close().await;
    });
    let store = open_tiny(directory.path(), 64 << 20);
    assert_eq!(networks(&store.bans(time(8), None, 99)), ["192.0.2.1/32", "192.0.2.3/32", "192.0.2.4/32"]);
}

#[test]
fn who_is_late_is_told_so() {
    let store = Store::in_memory();
    let mut late = store.subscribe();
    run(async {
        for number in 0..1_030_u32 {
            let network = format!("192.0.{}.{}", number / 256, number % 256);
            assert_eq!(store.ban(ban(&network, 7, None)).await, Ok(true));
        }
    });
    assert_eq!(late.try_recv(), Err(TryRecvError::Lagged(1_030 - 1_024)));
    assert!(matches!(late.try_recv(), Ok(BanChange::Banned(_))));
}

/// A store with as many bans as there may be, each for one address, and those addresses.
fn full() -> (Store, Vec<Network>) {
    let store = Store::in_memory();
    let mut random = Random(9);
    let mut bans = BTreeMap::new();
    while bans.len() < BANS_MAX {
        let address = Ipv4Addr::from(random.below(u32::MAX));
        let end = 1_000 + random.below(1_000);
        let ban = ban(&address.to_string(), 7, Some(end));
        bans.insert(ban.network, ban);
    }
    let networks = bans.keys().copied().collect();
    store.standing().bans.apply(bans.into_values().map(BanChange::Banned));
    (store, networks)
}

#[test]
fn bans_have_an_end() {
    let (store, networks) = full();
    run(async {
        assert_eq!(store.ban(ban("2001:db8::1", 999, None)).await, Err(Unavailable::Full));
        assert_eq!(store.bans(time(999), None, usize::MAX).len(), BANS_MAX);
        // One that is banned may be banned for longer.
        let known = networks[0].to_string();
        assert_eq!(store.ban(ban(&known, 999, None)).await, Ok(true));
        assert_eq!(store.unban(networks[1]).await, Ok(true));
        assert_eq!(store.ban(ban("2001:db8::1", 999, None)).await, Ok(true));
        assert_eq!(store.ban(ban("2001:db8::2", 999, None)).await, Err(Unavailable::Full));
        // When some are over there is room again.
        assert_eq!(store.ban(ban("2001:db8::2", 1_999, None)).await, Ok(true));
        assert_eq!(store.standing().bans.all().len(), BANS_MAX - 15);
        assert!(store.banned("2001:db8::2".parse().unwrap(), time(1_999)).is_some());
    });
}

/// What a look costs, printed: `cargo test --release -p store -- --ignored --nocapture looks_cost`.
#[test]
#[ignore = "proves nothing by itself"]
fn looks_cost() {
    let none = Store::in_memory();
    let (store, networks) = full();
    let strangers =
        Vec::from_iter((0..BANS_MAX as u32).map(|number| Ipv4Addr::from(number.wrapping_mul(40_503)).into()));
    let banned = Vec::from_iter(networks.iter().map(|network| network.address()));
    for (name, store, addresses) in
        [("no bans", &none, &strangers), ("strangers", &store, &strangers), ("banned", &store, &banned)]
    {
        let start = Instant::now();
        let found =
            addresses.iter().filter(|address| store.banned(**address, SystemTime::UNIX_EPOCH).is_some()).count();
        println!("{name:10} {:4} ns, {found} found", start.elapsed().as_nanos() / addresses.len() as u128);
    }
}
