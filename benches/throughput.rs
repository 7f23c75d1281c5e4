//! How many decisions a second out of a warm cache, beside a server that decides nothing.

use std::time::{Duration, Instant};

use super::chain::Chain;
use super::figures::{Times, median, millis, table, target, title};
use super::load::Load;
use super::server::Server;
use super::support::dns::{FakeDns, Manner};
use super::support::zone::Zone;

/// Every name below `test` is a host and takes mail; nothing is listed anywhere.
pub const WORLD: &str = "*.test A 192.0.2.80\n*.test MX 10 mx.test";
/// Connections side by side.
pub const CONNECTIONS: u32 = 16;

const CLIENTS: u32 = 100_000;
const DOMAINS: u32 = 1_000;
/// How often the servers are started anew: where the system puts a process in memory, and which of its memory lies where,
/// speeds it up or slows it down for as long as it lives.
const STARTS: usize = 5;
/// How often each server is measured after a start, in turn.
const ROUNDS: usize = 2;
const SERVERS: [&str; 3] = ["thoughtless", "portcullis", "no journal"];
/// The least share of the thoughtless server's rate, in percent.
const SHARE_MIN: f64 = 60.0;

/// One server, measured once.
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// Microseconds of processor time for each request.
    processor: f64,
}

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    let clients = if quick { CLIENTS / 10 } else { CLIENTS };
    title(
        "throughput",
        &format!(
            "{clients} distinct clients of {DOMAINS} domains, full chain, {CONNECTIONS} connections over inet, default \
             cache size; {STARTS} times:\na start, one pass unmeasured to warm the cache, {ROUNDS} passes for each server \
             in turn; decision log in people's format, to a file;\nthe target is for what is installed, \
             the journal included; decisions without \
             it are told beside it"
        ),
    );
    let dns = FakeDns::start_with("127.0.0.1:0", Zone::parse(WORLD), Manner::default());
    let chain = Chain::new();
    // What was asked first is still good when the last pass ends, however slow the machine.
    let config = chain.portcullis(dns.address()).replace("[dns]", "[dns]\nttl_min = \"1h\"");
    let alone = format!("{config}[journal]\nenabled = false\n");
    let (mut asked, mut asked_again, mut rounds) = (0, 0, Vec::new());
    for _ in 0..STARTS {
        let servers = [Server::thoughtless(), Server::portcullis(&config), Server::portcullis(&alone)];
        let before = dns.count();
        for server in &servers {
            measure(server, clients);
        }
        let warm = dns.count();
        rounds.extend((0..ROUNDS).map(|_| servers.each_ref().map(|server| measure(server, clients))));
        asked += warm - before;
        asked_again += dns.count() - warm;
    }

    let mut rows = vec![["server", "requests/s", "p50 ms", "p99 ms", "CPU us per request"].map(str::to_owned)];
    for round in &rounds {
        rows.extend(SERVERS.iter().zip(round).map(|(name, measured)| measured.row(name)));
    }
    table(&rows);
    let share = |index: usize| median(rounds.iter().map(|round| round[index].per_second / round[0].per_second)) * 1e2;
    let processor = |index: usize| median(rounds.iter().map(|round| round[index].processor));
    println!("  the caches were warmed by {asked} questions; a decision takes {:.1} us of CPU (median)", processor(1));
    println!("  without the journal it takes {:.1} us, and the rate is {:.0} %", processor(2), share(2));
    let share = share(1);
    let what =
        format!("{share:.0} % of the thoughtless server's rate (median of the rounds), at least {SHARE_MIN:.0} %");
    let fast = target(share >= SHARE_MIN, &what);
    let what = format!("{asked_again} questions to the DNS while measuring, 0 if the cache was warm");
    target(asked_again == 0, &what) && fast
}

fn measure(server: &Server, clients: u32) -> Measured {
    let load = Load { server: server.address, connections: CONNECTIONS, numbers: 0..clients, domains: DOMAINS };
    let (started, processor) = (Instant::now(), server.processor_time());
    let answers = load.run().expect("the server answers");
    let took = started.elapsed();
    let processor = server.processor_time() - processor;
    assert!(answers.iter().all(|answer| !answer.refused), "a mail was refused in a world without evil");
    let times: Times = answers.iter().map(|answer| answer.took).collect();
    let clients = f64::from(clients);
    Measured {
        per_second: clients / took.as_secs_f64(),
        p50: times.percentile(50),
        p99: times.percentile(99),
        processor: processor.as_secs_f64() * 1e6 / clients,
    }
}

impl Measured {
    fn row(&self, name: &str) -> [String; 5] {
        let rate = format!("{:.0}", self.per_second);
        [name.to_owned(), rate, millis(self.p50), millis(self.p99), format!("{:.1}", self.processor)]
    }
}
