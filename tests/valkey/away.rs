//! Redis goes and comes back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::{gate, gate_with, section};
use crate::support::greylister::{Gate, waits};
use crate::support::peers::present;
use crate::support::policy::Connection;
use crate::support::redis::{PEERS, Redis};

/// What all hosts have told of it.
fn same_list(gates: &[Gate]) -> String {
    let [one, other] = [0, 1].map(|index| {
        let told = gates[index].told(&["list"], 0);
        let mut lines = Vec::from_iter(told.lines().map(str::to_owned));
        lines.sort();
        lines.join("\n")
    });
    assert_eq!(one, other);
    one
}

#[test]
fn mail_flows_on_and_what_was_learnt_is_written_back() {
    if !present("valkey::away", &PEERS) {
        return;
    }
    let mut redis = Redis::start(&[]);
    let gates = [(); 2].map(|()| gate(&redis.url()));
    let [one, other] = &gates;
    assert!(one.waits(0, "203.0.113.7", "a@known.example"));
    redis.kill();
    // Who was known is answered as ever; strangers pass, and pass again, as nobody told them to wait.
    assert!(one.waits(100, "203.0.113.7", "a@known.example"));
    one.server.await_line("does not answer: ");
    for after in [100, 101] {
        assert!(!one.waits(after, "203.0.113.8", "b@stranger.example"));
    }
    assert!(!one.waits(400, "203.0.113.7", "a@known.example"));
    assert!(!other.waits(120, "203.0.113.7", "a@known.example"), "this host did not know it");
    let told = one.greylist(&["list"]);
    assert!(String::from_utf8(told.stderr).unwrap().contains("the store does not answer"));

    redis.start_again();
    for gate in &gates {
        gate.server.await_line("entries were written back");
    }
    let list = same_list(&gates);
    assert!(list.contains("came back, last  ") && list.contains("a@known.example"), "{list}");
    assert!(list.contains("waits since      ") && list.contains("b@stranger.example"), "{list}");
    // Both hosts have told what each knew: the first try of one, the last of the other.
    assert!(!other.waits(500, "203.0.113.8", "b@stranger.example"));
    assert!(!other.waits(501, "203.0.113.7", "a@known.example"));
    for gate in gates {
        let log = gate.server.stop().1;
        assert_eq!(
            log.matches("does not answer: ").count() - log.matches("still does not answer: ").count(),
            1,
            "{log}"
        );
        assert_eq!(log.matches("entries were written back").count(), 1, "{log}");
    }
}

/// Redis is killed and started, and held and let go, while four connections ask: all are answered.
#[test]
fn no_answer_is_lost_under_load() {
    if !present("valkey::load", &PEERS) {
        return;
    }
    let mut redis = Redis::start(&[]);
    let short = section(&redis.url()).replace("5s", "100ms");
    let gates = [(); 2].map(|()| gate_with(&short));
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let more = |count: usize| {
        let target = answered.load(Ordering::Relaxed) + count;
        crate::support::wait_for("answers", std::time::Duration::from_secs(30), || {
            (answered.load(Ordering::Relaxed) >= target).then_some(())
        });
    };
    thread::scope(|scope| {
        for number in 0..4 {
            let (endpoint, stop, answered) = (gates[number % 2].server.endpoint(), &stop, &answered);
            scope.spawn(move || {
                let mut connection = Connection::open(&endpoint).unwrap();
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let sender = format!("s{}@load.example", round % 300);
                    waits(&mut connection, round, "203.0.113.7", &sender);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        more(500);
        redis.kill();
        more(500);
        redis.start_again();
        for gate in &gates {
            gate.server.await_line("entries were written back");
        }
        more(500);
        redis.signal(Signal::STOP);
        more(500);
        redis.signal(Signal::CONT);
        more(500);
        stop.store(true, Ordering::Relaxed);
    });
    // What is still to be written is by the end of a host at the latest.
    let mut gates = Vec::from(gates);
    for _ in 0..2 {
        let gate = gates.remove(0);
        let (status, log) = gate.server.stop();
        assert!(status.success() && !log.contains("could not be written") && !log.contains("panicked"), "{log}");
        gates.push(super::gate(&redis.url()));
    }
    same_list(&gates);
}

#[test]
fn the_start_needs_no_redis() {
    if !present("valkey::start", &PEERS) {
        return;
    }
    let mut redis = Redis::start(&[]);
    redis.kill();
    let gate = Gate::start(&section(&redis.url()));
    gate.server.await_line("does not answer: ");
    assert!(!gate.waits(0, "203.0.113.7", "a@one.example"), "nobody could tell whether it is known");
    redis.start_again();
    gate.server.await_line("1 entries were written back");
    assert!(gate.waits(10, "203.0.113.7", "a@one.example"), "it is known since then");
    assert!(!gate.waits(400, "203.0.113.7", "a@one.example"));
}

/// All keys are removed under the hosts, the secret too: they agree on one anew.
#[test]
fn hosts_agree_after_all_was_removed() {
    if !present("valkey::flushed", &PEERS) {
        return;
    }
    let mut redis = Redis::start(&[]);
    let one = gate(&redis.url());
    assert!(one.waits(0, "203.0.113.7", "a@one.example"));
    redis.cli(&["flushall"]);
    let other = gate(&redis.url());
    assert!(other.waits(10, "203.0.113.7", "a@one.example"));
    redis.kill();
    redis.start_again();
    for gate in [&one, &other] {
        gate.server.await_line("entries were written back");
    }
    assert!(!one.waits(400, "203.0.113.7", "a@one.example"), "both know the same triplet");
}

#[test]
fn a_redis_that_refuses_to_write_is_away() {
    if !present("valkey::full", &PEERS) {
        return;
    }
    let redis = Redis::start(&[]);
    let gate = gate(&redis.url());
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    redis.cli(&["config", "set", "maxmemory", "1"]);
    assert!(!gate.waits(1, "203.0.113.7", "b@one.example"));
    gate.server.await_line("OOM");
    assert!(gate.waits(2, "203.0.113.7", "a@one.example"));
    redis.cli(&["config", "set", "maxmemory", "0"]);
    gate.server.await_line("entries were written back");
    assert!(gate.waits(3, "203.0.113.7", "b@one.example"));
}
