//! Whether memory stays bounded: what strangers ask of us must not make the server grow for ever.

use std::time::Instant;

use super::chain::Chain;
use super::figures::{table, target, title};
use super::load::Load;
use super::server::Server;
use super::support::dns::{FakeDns, Manner};
use super::support::zone::Zone;
use super::throughput::{CONNECTIONS, WORLD};

/// Memory is read after so many requests, and the last reading is held against the one before.
const REQUESTS: [u32; 2] = [200_000, 1_000_000];
/// How much more the last reading may be, in percent.
const GROWTH_MAX: f64 = 10.0;

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    title(
        "memory",
        &format!(
            "every request from a new client with new names, full chain, {CONNECTIONS} connections; default [dns]: \
             cache_entries_max = {}\nthe same process all the time; decision log in people's format, to a file",
            dns::Settings::default().cache_entries_max
        ),
    );
    let dns = FakeDns::start_with("127.0.0.1:0", Zone::parse(WORLD), Manner::default());
    let server = Server::portcullis(&Chain::new().portcullis(dns.address()));
    let (started, mut asked) = (Instant::now(), 0);
    let mut rows = vec![["requests", "resident MiB", "peak MiB", "questions", "seconds"].map(str::to_owned)];
    let mut read_after = |requests: u32| {
        // Each number has its own domain.
        let numbers = asked..requests;
        let load = Load { server: server.address, connections: CONNECTIONS, numbers, domains: u32::MAX };
        load.run().expect("the server answers");
        asked = requests;
        let (resident, peak) = (server.memory("VmRSS"), server.memory("VmHWM"));
        rows.push([
            requests.to_string(),
            format!("{resident:.1}"),
            format!("{peak:.1}"),
            dns.count().to_string(),
            started.elapsed().as_secs().to_string(),
        ]);
        resident
    };
    let [early, late] = REQUESTS.map(|requests| if quick { requests / 10 } else { requests });
    read_after(0);
    let (resident_early, resident_late) = (read_after(early), read_after(late));
    table(&rows);
    let growth = (resident_late / resident_early - 1.0) * 1e2;
    let what = format!("{growth:+.1} % from {early} to {late} requests, at most {GROWTH_MAX:+.0} %");
    target(growth <= GROWTH_MAX, &what)
}
