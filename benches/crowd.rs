//! Greylisting with millions of triplets, beside an empty store.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use facts::Network;
use store::{Attempt, Store, Terms, Unavailable};
use tempfile::TempDir;

use super::figures::{median, target, title};
use super::greylist::{CONFIG, DOMAINS, measure};
use super::load::{Load, Mail};
use super::server::Server;
use super::support::wait_for;

const TRIPLETS: u32 = 10_000_000;
const CONNECTIONS: u32 = 16;
const ROUNDS: u32 = 5;
/// How many triplets a round asks for.
const ROUND: u32 = 100_000;
/// The least share of the empty store's rate, in percent.
const SHARE_MIN: f64 = 50.0;
/// The most memory, in MiB.
const RESIDENT_MAX: f64 = 300.0;
/// How often the server is killed under load.
const KILLS: u32 = 5;
/// So much it works before each kill.
const WORK: Duration = Duration::from_millis(200);
/// The longest time from a start after a kill to the first answer, in seconds.
const BACK_MAX: f64 = 1.0;
/// More than it takes to read the file.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long is waited for a disk that is behind.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    let scale = if quick { 10 } else { 1 };
    let (triplets, round) = (TRIPLETS / scale, ROUND / scale);
    title("crowd", &format!("{triplets} triplets in the file, check_greylist alone, {CONNECTIONS} connections"));
    let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let begun = Instant::now();
    fill(directory.path(), 0..triplets).expect("the store can be filled");
    println!("  {triplets} triplets were written in {:.0} s", begun.elapsed().as_secs_f64());
    let empty = Server::portcullis(CONFIG);
    let (back, full) = killed(&directory, triplets);
    let said = format!("kill -9 under load: the first answer {back:.2} s after the start at most, {BACK_MAX:.0} s");
    let mut met = target(back <= BACK_MAX, &said);
    for (what, known) in [("new", false), ("known, in the order in which they came", true)] {
        let shares = (0..ROUNDS).map(|number| {
            let new = triplets + (number + if known { ROUNDS } else { 0 }) * round;
            let old = number * (triplets / ROUNDS);
            let rate = |server, from: u32| measure(server, CONNECTIONS, from..from + round).per_second;
            if known {
                // What the empty store knows it was told a moment ago.
                rate(&empty, new);
            }
            rate(&full, if known { old } else { new }) / rate(&empty, new) * 1e2
        });
        let share = median(shares);
        let said = format!("{what}: {share:.0} % of the rate with an empty store, at least {SHARE_MIN:.0} %");
        met &= target(share >= SHARE_MIN, &said);
    }
    let (resident, highest) = (full.memory("VmRSS"), full.memory("VmHWM"));
    println!("  resident: {resident:.0} MiB, {highest:.0} at most; file: {:.0} MiB", full.file_size("portcullis.redb"));
    met & target(resident < RESIDENT_MAX, &format!("resident: {resident:.0} MiB, below {RESIDENT_MAX:.0}"))
}

/// Kills servers under load. How many seconds the slowest of those that followed took until its first answer, and the last
/// one, which has read the file.
fn killed(directory: &Arc<TempDir>, triplets: u32) -> (f64, Server) {
    // What the killed server was asked for is asked for again later, of others.
    let load =
        |server: &Server, connections, numbers| Load { server: server.address, connections, numbers, domains: DOMAINS };
    let mut server = Server::portcullis_in(Arc::clone(directory), CONFIG);
    let mut back = Duration::ZERO;
    for number in 0..KILLS {
        let work = load(&server, CONNECTIONS, 0..triplets);
        let busy = thread::spawn(move || work.run().is_err());
        let before = server.processor_time();
        wait_for("work", PATIENCE, || (server.processor_time() - before > WORK).then_some(()));
        drop(server);
        assert!(busy.join().expect("the load does not panic"), "the server was killed while it worked");
        let begun = Instant::now();
        server = Server::portcullis_in(Arc::clone(directory), CONFIG);
        load(&server, 1, number..number + 1).run().expect("the server answers");
        back = back.max(begun.elapsed());
        let read = wait_for("the file being read", PATIENCE, || {
            let log = server.log();
            Some(log.lines().find(|line| line.contains("redb: read in "))?.to_owned())
        });
        println!("  {read}");
    }
    (back.as_secs_f64(), server)
}

/// Remembers a first attempt of each of these mails, as the server would.
fn fill(directory: &Path, numbers: Range<u32>) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(&store::Config::default(), directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        for number in numbers {
            while let Err(unavailable) = first_attempt(&store, Mail { number, domain: number % DOMAINS }).await {
                if unavailable != Unavailable::Busy {
                    return Err(unavailable.into());
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        store.close().await;
        Ok(())
    })
}

async fn first_attempt(store: &Store, mail: Mail) -> Result<(), Unavailable> {
    let network = Network::containing(mail.client().into(), 24).map(Network::address);
    let attempt = Attempt {
        address: mail.client().into(),
        client_name: "unknown",
        sender_address: "",
        client: &mail.client().to_string(),
        network: &network.expect("24 is a length").to_string(),
        sender: &mail.sender().to_string(),
        recipient: &mail.recipient().to_string(),
        now: SystemTime::now(),
        terms: &Terms::POSTGREY,
    };
    store.greylist(&attempt).await.map(drop)
}
