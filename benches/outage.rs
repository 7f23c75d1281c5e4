//! A Redis that dies and comes back, and one that hangs, in mid load: how long the answers take meanwhile.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::figures::{Times, millis, table, target, title};
use super::greylist::shared;
use super::load::Load;
use super::server::Server;
use super::support::peers::Peer;
use super::support::redis::{PEERS, Redis};

const CONNECTIONS: u32 = 16;
const REQUESTS: u32 = 300_000;
const DOMAINS: u32 = 1_000;
/// How long Redis is there, and is away, by turns.
const PHASE: Duration = Duration::from_millis(700);
/// What 999 of 1,000 answers may take.
const LIMIT: Duration = Duration::from_millis(250);

/// What befalls Redis.
struct Outage {
    name: &'static str,
    begins: fn(&mut Redis),
    ends: fn(&mut Redis),
}

const OUTAGES: [Outage; 2] = [
    Outage { name: "killed and started", begins: Redis::kill, ends: Redis::start_again },
    Outage {
        name: "held and let go",
        begins: |redis| redis.signal(Signal::STOP),
        ends: |redis| redis.signal(Signal::CONT),
    },
];

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    let requests = if quick { REQUESTS / 10 } else { REQUESTS };
    title(
        "outage",
        &format!("{requests} new triplets at {CONNECTIONS} connections, Redis away for {PHASE:?} in the middle"),
    );
    if !PEERS.iter().all(Peer::is_present) {
        println!("  SKIPPED: redis-server is not installed");
        return false;
    }
    let mut rows = vec![["Redis is", "requests", "p50 ms", "p99 ms", "p99.9 ms", "longest ms"].map(str::to_owned)];
    let mut met = true;
    for outage in OUTAGES {
        let times = measure(&outage, requests);
        let [median, most, nearly_all, all] = [500, 990, 999, 1000].map(|part| times.per_mille(part));
        let cells = [median, most, nearly_all, all].map(millis);
        let [p50, p99, p999, longest] = cells.clone();
        rows.push([outage.name.to_owned(), requests.to_string(), p50, p99, p999, longest]);
        let told = format!("{}: p99.9 {} ms, below {} ms", outage.name, cells[2], LIMIT.as_millis());
        met &= target(nearly_all < LIMIT, &told);
    }
    table(&rows);
    met
}

fn measure(outage: &Outage, requests: u32) -> Times {
    let mut redis = Redis::start(&["--appendonly", "no"]);
    let server = Server::portcullis(&shared(&redis));
    let load = Load { server: server.address, connections: CONNECTIONS, numbers: 0..requests, domains: DOMAINS };
    let answers = thread::scope(|scope| {
        let answers = scope.spawn(|| load.run().expect("all are answered"));
        thread::sleep(PHASE);
        (outage.begins)(&mut redis);
        thread::sleep(PHASE);
        (outage.ends)(&mut redis);
        answers.join().expect("the load does not panic")
    });
    answers.iter().map(|answer| answer.took).collect()
}
