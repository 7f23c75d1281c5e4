//! Several hosts with one memory: the program and its store on real Redis servers.

mod answers;
mod away;
mod bans;
mod ways;

use std::time::Duration;

use crate::support::greylister::{Gate, START};
use crate::support::peers::present;
use crate::support::policy::Connection;
use crate::support::redis::{PEERS, Redis};
use crate::support::wait_for;

/// How long one host may take to learn of another.
const PATIENCE: Duration = Duration::from_secs(30);

/// A section of the configuration. On a machine with much to do Redis may take its time.
fn section(url: &str) -> String {
    format!("[store]\nurl = \"{url}\"\ntimeout = \"5s\"\n")
}

/// A server of ours that remembers there, and has said that it does.
fn gate(url: &str) -> Gate {
    gate_with(&section(url))
}

fn gate_with(section: &str) -> Gate {
    let gate = Gate::start(section);
    gate.server.await_line("the store is at ");
    gate
}

#[test]
fn a_retry_at_another_host_passes() {
    if !present("valkey::another_host", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let [one, other] = [(); 2].map(|()| gate(&redis.url()));
    assert!(one.waits(0, "203.0.113.7", "a@one.example"));
    assert!(other.waits(10, "203.0.113.7", "a@one.example"), "it is too early there too");
    assert!(!other.waits(400, "203.0.113.7", "a@one.example"));
    assert!(!one.waits(401, "203.0.113.7", "a@one.example"));
    // Both tell the same of it, and what one forgets the other has forgotten.
    let told = one.told(&["list"], 0);
    assert!(told.contains("came back, last") && told.contains("client, last"), "{told}");
    assert_eq!(other.told(&["list"], 0), told);
    assert!(other.told(&["stats"], 0).contains("           1  triplets came back"));
    assert_eq!(other.objects(&["forget", "a@one.example"], 0)[0]["forgotten"], 1);
    assert!(one.waits(402, "203.0.113.7", "a@one.example"));
    // Clients are counted together: five that come back are enough, an hour apart.
    for round in 1..=4 {
        let (from, sender) = (round * 4_000, format!("s@m{round}.example"));
        let [first, second] = if round % 2 == 0 { [&one, &other] } else { [&other, &one] };
        assert!(first.waits(from, "203.0.113.7", &sender), "{round}");
        assert!(!second.waits(from + 400, "203.0.113.7", &sender), "{round}");
    }
    for gate in [&one, &other] {
        assert!(!gate.waits(30_000, "203.0.113.7", "new@one.example"), "known by now");
    }
    for gate in [one, other] {
        let (status, log) = gate.server.stop();
        assert!(status.success() && !log.contains("ERROR"), "{log}");
    }
}

#[test]
fn pages_are_told_whole() {
    if !present("valkey::pages", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let gate = gate(&redis.url());
    for number in 0..1_300 {
        assert!(gate.waits(0, &format!("198.51.{}.{}", number / 250, number % 250), &format!("s{number}@one.example")));
    }
    let mut senders = Vec::from_iter(gate.objects(&["list"], 0).iter().map(|entry| entry["sender"].to_string()));
    senders.sort();
    senders.dedup();
    assert_eq!(senders.len(), 1_300);
    assert_eq!(gate.objects(&["list", "s77@"], 0).len(), 1);
    assert_eq!(gate.objects(&["forget", "u@ours.example"], 0)[0]["forgotten"], 1_300);
    assert_eq!(redis.cli(&["dbsize"]).trim(), "1", "only the secret is left");
}

#[test]
fn privacy_keeps_no_names_there() {
    if !present("valkey::privacy", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let config = section(&redis.url()) + "key_prefix = \"mx/\"\n";
    let gate = Gate::start_with(&config, "privacy = true\n");
    gate.server.await_line("the store is at ");
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    assert!(!gate.waits(400, "203.0.113.7", "a@one.example"));
    let keys = redis.cli(&["keys", "*"]);
    assert!(keys.lines().count() >= 3 && keys.lines().all(|key| key.starts_with("mx/")), "{keys}");
    for key in keys.lines().filter(|key| key.starts_with("mx/t:") || key.starts_with("mx/c:")) {
        assert_eq!(redis.cli(&["strlen", key]).trim(), "10", "{key}");
        let seconds: i64 = redis.cli(&["ttl", key]).trim().parse().unwrap();
        assert!(seconds > 30 * 86_400 && seconds < 36 * 86_400, "{key}: {seconds}");
    }
}

#[test]
fn what_cannot_be_read_counts_as_none() {
    if !present("valkey::unreadable", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let [one, other] = [(); 2].map(|()| gate(&redis.url()));
    for (number, value) in ["", "x", "\u{2}of the future", "\u{1}\u{9}aaaabbbb"].into_iter().enumerate() {
        let sender = format!("{number}@one.example");
        assert!(one.waits(0, "203.0.113.7", &sender));
        let key = redis.cli(&["--scan", "--pattern", "portcullis:t:*"]);
        redis.cli(&["set", key.trim(), value]);
        assert!(other.waits(400, "203.0.113.7", &sender), "{value:?} is no entry: it is seen for the first time");
        assert!(!one.waits(800, "203.0.113.7", &sender));
        redis.cli(&["del", key.trim()]);
    }
    other.server.await_line("an entry of the store counts as none");
    // A key of another type is nobody's: mail passes.
    assert!(one.waits(900, "203.0.113.9", "z@one.example"));
    let key = redis.cli(&["--scan", "--pattern", "portcullis:t:*"]);
    redis.cli(&["del", key.trim()]);
    redis.cli(&["lpush", key.trim(), "x"]);
    assert!(!one.waits(970, "203.0.113.9", "z@one.example"));
    one.server.await_line("a key of the store cannot be used: ");
    assert!(one.waits(971, "203.0.113.9", "y@one.example"), "the others are as they were");
}

#[test]
fn what_stands_at_one_host_stands_at_all() {
    if !present("valkey::standing", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let hosts = [(); 2].map(|()| Gate::start_with(&section(&redis.url()), "pool_proof = true\ndnswl = []\n"));
    let [one, other] = &hosts;
    assert!(other.waits(0, "203.0.113.7", "a@one.example"));
    one.told(&["allow", "one.example"], 0);
    wait_for("the other host to know it", PATIENCE, || (!other.waits(1, "203.0.113.7", "a@one.example")).then_some(()));
    one.told(&["allow", "--remove", "one.example"], 0);
    wait_for("the other host to forget it", PATIENCE, || other.waits(2, "203.0.113.7", "a@one.example").then_some(()));
    // Mail of a user of ours to a stranger.
    let mut submission = Connection::open(&one.server.endpoint()).unwrap();
    let sent = submission.ask(&[
        ("protocol_state", "RCPT"),
        ("client_address", "203.0.113.200"),
        ("helo_name", "pc"),
        ("sender", "u@ours.example"),
        ("recipient", "pal@far.example"),
        ("sasl_username", "u"),
        ("policy_test_time", &START.to_string()),
    ]);
    assert_eq!(sent.unwrap(), "DUNNO");
    wait_for("the other host to know the correspondent", PATIENCE, || {
        (!other.waits(3, "198.51.100.7", "pal@far.example")).then_some(())
    });
}
