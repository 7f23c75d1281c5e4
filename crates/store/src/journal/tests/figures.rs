//! What it costs, printed: `cargo test --release -p store -- --ignored --nocapture journal::tests::figures`.

use std::time::Instant;

use super::*;

const ROWS: u32 = 400_000;
/// As a busy server decides.
const PER_SECOND: u32 = 60_000;

#[test]
#[ignore = "takes minutes and proves nothing by itself"]
fn figures() {
    for (name, made) in [("one finding", row as fn(u32, SystemTime) -> Row), ("21 findings", long_row)] {
        // Making and dropping a row by itself is no cost of the journal.
        let bare = measure(|| (0..ROWS).for_each(|number| drop(made(number, SystemTime::now()))));
        let state = tempfile::tempdir().unwrap();
        let journal = open(state.path());
        let with = measure(|| {
            let start = Instant::now();
            for number in 0..ROWS {
                journal.append(&made(number, SystemTime::now()));
                if number % 600 == 0 {
                    std::thread::sleep(
                        (start + Duration::from_secs(1) * number / PER_SECOND)
                            .saturating_duration_since(Instant::now()),
                    );
                }
            }
            journal.close();
        });
        let octets = journal.counters().octets.load(std::sync::atomic::Ordering::Relaxed);
        let dropped = journal.counters().dropped.load(std::sync::atomic::Ordering::Relaxed);
        let start = Instant::now();
        let read = numbers(&mut reader(state.path())).len();
        println!(
            "{name:12} {:.2} µs of processors each ({bare:.2} without a journal), {} octets, {dropped} dropped; {read} read in {:.2} s",
            with - bare,
            octets / u64::from(ROWS),
            start.elapsed().as_secs_f64()
        );
        let wanted = DecisionId::of_number(0);
        let start = Instant::now();
        assert!(reader(state.path()).find(wanted).unwrap().is_none());
        println!("{name:12} looked for an id in all in {:.3} s", start.elapsed().as_secs_f64());
    }
}

/// Microseconds of processor time for each row.
fn measure(work: impl FnOnce()) -> f64 {
    let before = crate::tests::figures::cpu_seconds();
    work();
    (crate::tests::figures::cpu_seconds() - before) * 1e6 / f64::from(ROWS)
}
