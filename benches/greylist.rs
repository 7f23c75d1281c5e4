//! Greylisting beside postgrey, and beside a server that decides nothing: triplets that are new, and known ones. Once with
//! a file, and once with a Redis on the loopback interface, as several hosts would share it.

use std::time::{Duration, Instant};

use super::figures::{Times, median, millis, table, target, title};
use super::load::Load;
use super::server::Server;
use super::support::peers::program;
use super::support::redis::{PEERS, Redis};

/// Connections side by side; the targets count at the last.
const CONNECTIONS: [u32; 3] = [1, 4, 16];
const CLIENTS: u32 = 100_000;
/// postgrey takes longer: it has so many where no target counts.
const CLIENTS_OF_POSTGREY: u32 = 5_000;
/// How often all servers are measured, in turn, each time with triplets that nobody knows.
const ROUNDS: u32 = 3;
pub const DOMAINS: u32 = 1_000;
/// The least share of the thoughtless server's rate, in percent.
const SHARE_MIN: f64 = 60.0;
/// How many times postgrey's rate, and its requests a second of processor time, ours are at least.
const TIMES_MIN: f64 = 20.0;
/// The same with Redis.
const TIMES_SHARED_MIN: f64 = 10.0;

/// As postgrey does, with empty lists, which it is given as well.
pub const CONFIG: &str = "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"check_greylist\"]\n\
                      [greylist]\npool_proof = false\ndefault_whitelists = false\n";

/// One server, measured once.
pub struct Measured {
    pub per_second: f64,
    times: Times,
    /// Microseconds of processor time for each request.
    processor: f64,
}

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    let scale = if quick { 10 } else { 1 };
    title(
        "greylist",
        &format!(
            "{} distinct clients of {DOMAINS} domains ({} with postgrey on few connections), check_greylist alone, the \
             store on disk, every decision in the journal; new triplets,\n\
             then the same again (too early, so that all answers are refusals); medians of {ROUNDS} rounds",
            CLIENTS / scale,
            CLIENTS_OF_POSTGREY / scale
        ),
    );
    if program("postgrey").is_none() || !PEERS.iter().all(|peer| peer.is_present()) {
        println!("  SKIPPED: postgrey or redis-server is not installed");
        return false;
    }
    let redis = Redis::start(&["--appendonly", "no"]);
    let servers = [
        ("thoughtless", Server::thoughtless()),
        ("portcullis", Server::portcullis(CONFIG)),
        ("postgrey", Server::postgrey()),
        ("with Redis", Server::portcullis(&shared(&redis))),
    ];
    let mut rows =
        vec![["triplets, connections", "server", "requests/s", "p50 ms", "p99 ms", "CPU us"].map(str::to_owned)];
    let mut next = 0;
    let mut met = true;
    for connections in CONNECTIONS {
        let is_last = connections == CONNECTIONS[CONNECTIONS.len() - 1];
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let from = next;
            next += CLIENTS / scale;
            for known in [false, true] {
                rounds[usize::from(known)].push(servers.each_ref().map(|(name, server)| {
                    let clients = if *name == "postgrey" && !is_last { CLIENTS_OF_POSTGREY } else { CLIENTS };
                    measure(server, connections, from..from + clients / scale)
                }));
            }
        }
        for (rounds, what) in rounds.iter().zip(["new", "known"]) {
            for (index, (name, _)) in servers.iter().enumerate() {
                rows.push(row(
                    &format!("{what}, {connections}"),
                    name,
                    rounds.iter().map(|round| &round[index]).collect(),
                ));
            }
            if is_last {
                met &= targets(what, rounds);
            }
        }
    }
    table(&rows);
    println!("  resident: {:.0} MiB", servers[1].1.memory("VmRSS"));
    met
}

/// Our configuration with the memory in `redis`.
pub fn shared(redis: &Redis) -> String {
    format!("{CONFIG}[store]\nurl = \"{}\"\n", redis.url())
}

/// Puts the mails of these numbers to a server.
pub fn measure(server: &Server, connections: u32, numbers: std::ops::Range<u32>) -> Measured {
    let requests = f64::from(numbers.end - numbers.start);
    let load = Load { server: server.address, connections, numbers, domains: DOMAINS };
    let (started, processor) = (Instant::now(), server.processor_time());
    let answers = load.run().expect("the server answers");
    let took = started.elapsed();
    let processor = server.processor_time() - processor;
    Measured {
        per_second: requests / took.as_secs_f64(),
        times: answers.iter().map(|answer| answer.took).collect(),
        processor: processor.as_secs_f64() * 1e6 / requests,
    }
}

fn row(what: &str, name: &str, rounds: Vec<&Measured>) -> [String; 6] {
    let of = |figure: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(|round| figure(round)));
    let time =
        |percent: usize| millis(Duration::from_secs_f64(of(&|round| round.times.percentile(percent).as_secs_f64())));
    let rate = format!("{:.0}", of(&|round| round.per_second));
    [what.to_owned(), name.to_owned(), rate, time(50), time(99), format!("{:.1}", of(&|round| round.processor))]
}

/// What is asked of the rounds at the most connections, of all servers.
fn targets(what: &str, rounds: &[[Measured; 4]]) -> bool {
    let ratio = |figure: &dyn Fn(&[Measured; 4]) -> f64| median(rounds.iter().map(figure));
    let share = ratio(&|[thoughtless, ours, ..]| ours.per_second / thoughtless.per_second) * 1e2;
    let times = ratio(&|[_, ours, postgrey, _]| ours.per_second / postgrey.per_second);
    let processor = ratio(&|[_, ours, postgrey, _]| postgrey.processor / ours.processor);
    let shared = ratio(&|[_, _, postgrey, shared]| shared.per_second / postgrey.per_second);
    let of_thoughtless = format!("{what}: {share:.0} % of the thoughtless server's rate, at least {SHARE_MIN:.0} %");
    let of_postgrey = format!("{what}: {times:.0} times postgrey's rate, at least {TIMES_MIN:.0}");
    let by_processor =
        format!("{what}: {processor:.0} times postgrey's requests a second of CPU, at least {TIMES_MIN:.0}");
    let with_redis = format!("{what}: {shared:.0} times postgrey's rate with Redis, at least {TIMES_SHARED_MIN:.0}");
    target(share >= SHARE_MIN, &of_thoughtless)
        & target(times >= TIMES_MIN, &of_postgrey)
        & target(processor >= TIMES_MIN, &by_processor)
        & target(shared >= TIMES_SHARED_MIN, &with_redis)
}
