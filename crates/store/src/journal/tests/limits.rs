//! What a stranger, or time, can make grow.

use std::sync::atomic::Ordering::Relaxed;

use super::super::hours::{Hours, Kind};
use super::*;

#[test]
fn the_files_are_bounded_and_the_latest_stay() {
    let state = tempfile::tempdir().unwrap();
    let size_max = 8 << 20;
    let journal = Journal::open(&Config { size_max, ..Config::default() }, state.path()).unwrap();
    let written = || journal.counters().written.load(Relaxed);
    let all = 60_000;
    for number in 0..all {
        journal.append(&row(number, SystemTime::now()));
        if number % 500 == 499 {
            while written() <= u64::from(number) {
                std::thread::yield_now();
            }
            let sizes = segments(state.path());
            let size: u64 = sizes.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum();
            assert!(size <= size_max, "{size}");
        }
    }
    journal.close();
    let read = numbers(&mut reader(state.path()));
    assert!(read.len() > 20_000 && read.len() < all as usize, "{}", read.len());
    assert_eq!(read, Vec::from_iter(all - read.len() as u32..all));
}

#[test]
fn what_is_too_old_goes() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..1);
    filled(state.path(), 1..2);
    let old = SystemTime::now() - Duration::from_secs(7_200);
    let open_for = |seconds| {
        let max_age = Duration::from_secs(seconds);
        drop(Journal::open(&Config { max_age, ..Config::default() }, state.path()).unwrap());
    };
    fs::File::options().write(true).open(&segments(state.path())[0]).unwrap().set_modified(old).unwrap();
    open_for(10_000);
    assert_eq!(segments(state.path()).len(), 2);
    open_for(7_000);
    assert_eq!(numbers(&mut reader(state.path())), [1]);
}

#[test]
fn counts_are_kept_for_a_year_and_are_bounded() {
    let state = tempfile::tempdir().unwrap();
    let mut hours = Hours::new(state.path());
    let mut row = row(1, time(1_793_527_200));
    for number in 0..300 {
        row.decision.restriction = Some(facts::kept(&format!("restriction {number}")));
        hours.count(Kind::of(&row), 1).unwrap();
    }
    hours.write().unwrap();
    hours.expire(time(1_793_527_200 + 360 * 86_400)).unwrap();
    let counts = super::super::hours::counts(state.path(), |_, why| panic!("{why}")).unwrap();
    assert_eq!(counts.len(), 201);
    assert_eq!(counts.iter().find(|count| count.restriction == "other").unwrap().count, 100);
    hours.expire(time(1_793_527_200 + 368 * 86_400)).unwrap();
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
}

/// A DNS server of a stranger's may answer at length: such a row keeps the decision without its findings.
#[test]
fn one_row_is_bounded() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    for (number, length) in [(0, 1_000), (1, 60_000), (2, 1_000)] {
        let mut row = row(number, SystemTime::now());
        let records: Vec<_> = (0..10).map(|_| Record::Txt("x".repeat(length).into())).collect();
        let answer = DnsAnswer { name: "x".into(), record_type: RecordType::Txt, result: Ok(records.into()) };
        row.decision.findings[0].evidence.push(Evidence::Dns(Arc::new(answer)));
        journal.append(&row);
    }
    let mut huge = row(3, SystemTime::now());
    Arc::make_mut(&mut huge.facts).greeting = Some(Greeting { helo_name: "h".repeat(300_000).into() });
    journal.append(&huge);
    journal.close();
    assert_eq!(journal.counters().dropped.load(Relaxed), 1);
    let (rows, _) = reader(state.path()).latest(10, None, |_| true).unwrap();
    assert_eq!(rows.iter().map(|row| row.decision.findings.len()).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn rows_that_wait_are_bounded() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    // The thread needs a moment for what one processor hands over meanwhile, or drops are not seen at all.
    let mut handed_over = 0;
    while journal.counters().dropped.load(Relaxed) == 0 && handed_over < 400_000 {
        for number in 0..40_000 {
            journal.append(&row(number, SystemTime::now()));
            handed_over += 1;
        }
    }
    journal.close();
    let (written, dropped) = (journal.counters().written.load(Relaxed), journal.counters().dropped.load(Relaxed));
    assert_eq!(written + dropped, handed_over);
}
