//! Files that a crash, a full disk or somebody else has left in a state.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{read_all, segment, whole_segment};
use super::*;

#[test]
fn a_torn_end_is_passed_over_in_silence() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..40);
    let path = segments(state.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(17).chain([whole.len()]) {
        fs::write(&path, &whole[..length]).unwrap();
        let mut reader = reader(state.path());
        let read = numbers(&mut reader).len();
        assert_eq!(read, if length == whole.len() { 40 } else { 0 });
        assert!(reader.complaints().is_empty(), "{length}");
    }
}

#[test]
fn damage_costs_a_block_and_is_told() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    for number in 0..30 {
        journal.append(&row(number, SystemTime::now()));
        // Each a block.
        while journal.counters().written.load(Relaxed) <= u64::from(number) {
            std::thread::yield_now();
        }
    }
    journal.close();
    let path = segments(state.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(13) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let mut reader = reader(state.path());
        let read = numbers(&mut reader);
        assert!(read.len() < 30 && read.is_sorted(), "{at}: {read:?}");
        // Where a length is damaged, what follows is lost.
        let is_start = read == Vec::from_iter(0..read.len() as u32);
        assert!(is_start || read.len() == 29 && reader.complaints().len() == 1, "{at}: {read:?}");
    }
    // What follows a file that is damaged is written all the same.
    filled(state.path(), 30..31);
    assert_eq!(numbers(&mut reader(state.path())).last(), Some(&30));
}

#[test]
fn whatever_the_octets_nothing_breaks() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    [row(1, SystemTime::now()), long_row(2, SystemTime::now())].iter().for_each(|row| journal.append(row));
    journal.close();
    let whole = fs::read(segments(state.path()).remove(0)).unwrap();
    assert_eq!(read_all(&whole), 2);
    // What stands behind the first line, the length and the checksum.
    let block = &whole[segment::first_line(segment::ROWS).len() + 8..];
    assert_eq!(read_all(&whole_segment(block)), 2);
    let mut random = crate::tests::Random(1);
    for _ in 0..20_000 {
        let mut octets = block.to_vec();
        for _ in 0..=random.below(4) {
            octets[random.below(block.len() as u32) as usize] = random.below(256) as u8;
        }
        octets.truncate(random.below(2 * block.len() as u32) as usize);
        assert!(read_all(&whole_segment(&octets)) <= octets.len() / 4);
        assert_eq!(read_all(&octets), 0);
    }
}

#[test]
fn a_file_of_another_version_is_told() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..1);
    fs::write(directory(state.path()).join("0000000000001.rows"), "portcullis journal 1\nwhatever").unwrap();
    let mut reader = reader(state.path());
    assert_eq!(numbers(&mut reader), [0]);
    let complaints = reader.complaints();
    assert!(
        complaints.len() == 1 && complaints[0].contains("another version of the program wrote it"),
        "{complaints:?}"
    );
}

#[test]
fn counts_that_cannot_be_read_are_told_set_aside_and_begun_anew() {
    let other = b"portcullis counts 1000\nwhatever".to_vec();
    let damage = |mut octets: Vec<u8>| {
        *octets.last_mut().unwrap() ^= 1;
        octets
    };
    let check = |change: &dyn Fn(Vec<u8>) -> Vec<u8>, told: &str| {
        let state = tempfile::tempdir().unwrap();
        filled(state.path(), 0..5);
        let day = list(&directory(state.path()), ".counts").unwrap().remove(0).path;
        let octets = change(fs::read(&day).unwrap());
        fs::write(&day, &octets).unwrap();
        let mut unreadable = reader(state.path());
        assert_eq!(unreadable.counts().unwrap(), []);
        assert!(unreadable.complaints()[0].contains(told), "{told}");
        filled(state.path(), 0..2);
        assert_eq!(reader(state.path()).counts().unwrap()[0].count, 2);
        assert_eq!(fs::read(day.with_extension("counts.aside")).unwrap(), octets, "nothing is written over it");
    };
    check(&damage, "its counts are lost");
    check(&|_| other.clone(), "another version of the program wrote it");
}

#[test]
fn one_process_writes() {
    let state = tempfile::tempdir().unwrap();
    let first = open(state.path());
    assert!(matches!(Journal::open(&Config::default(), state.path()), Err(Error::InUse { .. })));
    drop(first);
    open(state.path());
}

#[test]
fn settings_that_cannot_be() {
    let state = tempfile::tempdir().unwrap();
    for (config, key) in [
        (Config { size_max: 1, ..Config::default() }, "size_max"),
        (Config { max_age: Duration::from_secs(60), ..Config::default() }, "max_age"),
    ] {
        let error = Journal::open(&config, state.path()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("journal.{key} must be")), "{error}");
    }
}

#[test]
fn others_may_not_read() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory(state.path())) & !0o750, 0);
    for entry in fs::read_dir(directory(state.path())).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()) & !0o640, 0);
    }
}
