//! Processes that end in the middle: this test program again, as a child.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use facts::Network;

use super::*;

const DIRECTORY: &str = "PORTCULLIS_STORE_TEST_DIRECTORY";

/// This program, doing nothing but the ignored test `name` in `directory`, under a shell that first runs `before`.
fn child(name: &str, directory: &Path, before: &str) -> Child {
    let this = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" --exact --ignored --nocapture tests::crash::{name}")])
        .arg(this)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Where the child works; nothing where somebody runs all that is ignored.
fn own_directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// The one that is banned with this attempt.
fn network(number: u32) -> Network {
    Network::containing(Ipv4Addr::from(number).into(), 32).unwrap()
}

/// Attempts without end; after each commit it says how many there were.
#[test]
#[ignore = "a child of another test"]
fn writes_until_killed() {
    let Some(directory) = own_directory() else { return };
    let store = open_tiny(&directory, 64 << 20);
    run(async {
        let start = u32::try_from(store.stats().await.unwrap().triplets_waiting).unwrap();
        for number in start.max(1).. {
            attempt(&store, number, number, 1_000).await.unwrap();
            if number % 300 == 0 {
                store.forget(&format!("sender{}@example.com", number - 1)).await.unwrap();
                // Names are few: each takes the place of one before it.
                let name = |number: u32| format!("n{}.example", number / 300 % 500).parse().unwrap();
                store.disallow(&name(number - 300)).await.unwrap();
                store.allow(&name(number), time(number)).await.unwrap();
                // Every other ban is taken back.
                if number % 600 == 0 {
                    store.unban(network(number - 300)).await.unwrap();
                }
                store.ban(bans::ban(&network(number).to_string(), number, None)).await.unwrap();
                println!("committed {number}");
                attempt(&store, number, number - 1, 1_000).await.unwrap();
            }
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_committed() {
    let directory = tempfile::tempdir().unwrap();
    let mut committed = 0_u32;
    for lines in [3, 9, 1, 20, 5, 14, 2, 7, 1, 1, 4, 30, 6, 2, 11, 1, 8, 3, 5, 2] {
        let mut child = child("writes_until_killed", directory.path(), "");
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = said.by_ref().map_while(Result::ok);
        let numbers = numbers.filter_map(|line| line.rsplit_once("committed ")?.1.parse::<u32>().ok());
        committed = numbers.take(lines).last().unwrap().max(committed);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open_tiny(directory.path(), 64 << 20);
        // The child may have been killed between a change and the word of it.
        let allowed = store.allowed().into_iter().map(|allowed| crate::greylist::unix(allowed.since)).max();
        assert!(allowed >= Some(committed), "{allowed:?} is before {committed}");
        for number in (300..=committed).step_by(300) {
            let is_banned = store.banned(network(number).address(), time(number)).is_some();
            assert!(is_banned || number % 600 != 0, "{number} of {committed} is not banned");
            assert!(!is_banned || number % 600 == 0 || number == committed, "{number} of {committed} is banned");
        }
        run(async {
            for number in (1..=committed).filter(|number| number % 300 != 299) {
                let answer = attempt_on(&store, number, number, 1_001, &TERMS, false).await;
                assert!(matches!(answer, Ok(Greylisted::TooEarly { .. })), "{number} of {committed}: {answer:?}");
            }
            store.close().await;
        });
    }
    let others = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(others, 1, "a file was set aside");
}

/// Attempts until writing has failed for some time: the file may not grow.
#[test]
#[ignore = "a child of another test"]
fn writes_to_a_full_disk() {
    let Some(directory) = own_directory() else { return };
    let store = open_tiny(&directory, 64 << 20);
    let failures = || store.counters().failures.load(std::sync::atomic::Ordering::Relaxed);
    run(async {
        let mut number = 0;
        while failures() == 0 {
            attempt(&store, number, number, 1_000).await.unwrap();
            number += 1;
            if number % 500 == 0 && store.forget("nobody").await.is_ok() {
                println!("committed {number}");
            }
        }
        for number in number..number + 1_000 {
            let answer = attempt(&store, number, number, 1_000).await;
            assert_eq!(answer, Ok(Greylisted::New { wait: TERMS.delay }));
            let again = attempt(&store, number, number, 1_001).await;
            assert!(matches!(again, Ok(Greylisted::TooEarly { .. })));
        }
        println!("goes on");
    });
}

#[test]
fn a_full_disk_does_not_stop_the_answers() {
    let directory = tempfile::tempdir().unwrap();
    let child = child("writes_to_a_full_disk", directory.path(), "trap '' XFSZ; ulimit -f 8192;");
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("goes on"), "{said}");
    let committed =
        said.lines().filter_map(|line| line.rsplit_once("committed ")?.1.parse::<u32>().ok()).next_back().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        for number in 0..committed {
            let answer = attempt_on(&store, number, number, 1_002, &TERMS, false).await;
            assert!(matches!(answer, Ok(Greylisted::TooEarly { .. })), "{number} of {committed}: {answer:?}");
        }
        store.close().await;
    });
}
