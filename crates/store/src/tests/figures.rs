//! What it costs, printed: `cargo test --release -p store -- --ignored --nocapture figures`.

use std::time::Instant;

use super::*;
use crate::Config;

/// Attempts that are measured at once.
const ATTEMPTS: u32 = 400_000;
/// Who asks at once.
const CALLERS: u32 = 16;

/// Attempts by 16 callers on `threads` threads, each for the triplet of the `number` of its count, waiting while the disk is
/// behind. The time runs until all is written.
fn measure(
    name: &str,
    store: &Store,
    threads: usize,
    now: Seconds,
    number: impl Fn(u32) -> u32 + Copy + Send + 'static,
) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    runtime.block_on(async {
        let callers = (0..CALLERS).map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for count in (caller..ATTEMPTS).step_by(CALLERS as usize) {
                    while let Err(error) = attempt(&store, number(count) % 60_000, number(count), now).await {
                        assert_eq!(error, Unavailable::Busy);
                        commit(&store).await;
                    }
                    // As it would do between two requests.
                    tokio::task::yield_now().await;
                }
            })
        });
        for caller in Vec::from_iter(callers) {
            caller.await.unwrap();
        }
        commit(store).await;
    });
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let each = |seconds: f64| seconds * 1e6 / f64::from(ATTEMPTS);
    let rss = resident();
    println!(
        "{name:34} {threads} threads {:9.0}/s  {:5.2} µs, of processors {:5.2} µs  resident {rss} MiB",
        f64::from(ATTEMPTS) / wall,
        each(wall),
        each(cpu)
    );
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// What all threads have used.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = Vec::from_iter(stat.rsplit_once(')').unwrap().1.split_whitespace());
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "takes minutes and proves nothing by itself"]
fn figures() {
    let rows = std::env::var("PORTCULLIS_STORE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(100_000);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::default(), directory.path()).unwrap();
    let start = Instant::now();
    run(async {
        for number in 0..rows {
            while attempt(&store, number % 60_000, number, 1_000).await.is_err() {
                commit(&store).await;
            }
        }
        commit(&store).await;
    });
    println!("{rows} rows written in {:.1} s", start.elapsed().as_secs_f64());
    let mut next = rows;
    for threads in [1, 2] {
        measure("new", &store, threads, 1_000, move |count| next + count);
        next += ATTEMPTS;
    }
    for threads in [1, 2] {
        measure("known, of 20,000", &store, threads, 1_010, |count| count % 20_000);
        let all = u64::from(next);
        let anywhere =
            move |count: u32| (u64::from(count).wrapping_mul(2_654_435_761_u64 + threads as u64) % all) as u32;
        measure("known, of all", &store, threads, 1_020, anywhere);
    }
    println!("file {} MiB", run(store.stats()).unwrap().file_size >> 20);
    let crashed = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("portcullis.redb"), crashed.path().join("portcullis.redb")).unwrap();
    run(store.close());
    drop(store);
    for (name, directory) in [("closed", directory), ("crashed", crashed)] {
        let start = Instant::now();
        let store = Store::open(&Config::default(), directory.path()).unwrap();
        println!("{name}: opened in {:.2} s, resident {} MiB", start.elapsed().as_secs_f64(), resident());
        run(store.close());
    }
}
