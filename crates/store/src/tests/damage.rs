//! Files that are not as they were left.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use redb::Database;

use super::*;
use crate::{Config, Error};

const FILE: &str = "portcullis.redb";

/// A closed store with some hundred entries.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    run(async {
        for number in 0..1_500 {
            attempt(&store, number, number % 1_000, 1_000 + number).await.unwrap();
            if number % 100 == 0 {
                commit(&store).await;
            }
        }
        store.close().await;
    });
    directory
}

fn set_aside(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.to_string_lossy().contains("portcullis.redb.damaged-")).collect()
}

/// Opens a file with these octets. Whatever they are, attempts are answered or pass; says whether it was set aside.
fn check(case: &str, octets: &[u8]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE), octets).unwrap();
    let store = Store::open(&Config::default(), directory.path()).unwrap_or_else(|error| panic!("{case}: {error}"));
    run(async {
        for number in 0..1_200 {
            let _ = attempt(&store, number, number, 2_000).await;
        }
        assert_eq!(attempt(&store, 9_000, 9_000, 2_000).await, Ok(Greylisted::New { wait: TERMS.delay }), "{case}");
        let _ = store.stats().await;
        store.close().await;
    });
    drop(store);
    assert!(directory.path().join(FILE).exists(), "{case}");
    let aside = set_aside(directory.path());
    if let [aside] = aside.as_slice() {
        assert_eq!(fs::read(aside).unwrap().len(), octets.len(), "{case}");
    }
    !aside.is_empty()
}

#[test]
fn a_damaged_file_never_stops_the_mail() {
    let directory = filled();
    let good = fs::read(directory.path().join(FILE)).unwrap();
    assert!(!check("as it was left", &good));
    assert!(!check("empty", &[]));
    assert!(check("another kind of file", b"# a text file\n".repeat(1_000).as_slice()));
    let mut random = Random(4);
    let mut somewhere = || random.below(good.len() as u32) as usize;
    let mut aside = 0;
    for round in 0..24 {
        let at = somewhere();
        aside += u32::from(check(&format!("cut off at {at}"), &good[..at]));
        let mut flipped = good.clone();
        // Half of the flips are many, and in the first pages, where the headers are.
        for _ in 0..=round % 8 {
            let at = if round % 2 == 0 { somewhere() } else { somewhere() % 8_192 };
            flipped[at] ^= 1 << (at % 8);
        }
        aside += u32::from(check(&format!("flipped in round {round}"), &flipped));
        let (start, end) = (somewhere(), somewhere());
        let mut zeroed = good.clone();
        zeroed[start.min(end)..start.max(end)].fill(0);
        aside += u32::from(check(&format!("zeros from {start} to {end}"), &zeroed));
    }
    assert!(aside > 24, "{aside}");
}

/// A copy that is made while the store writes is as after a crash, or it is set aside.
#[test]
fn a_copy_at_any_moment_opens() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_tiny(directory.path(), 64 << 20);
    let path = directory.path().join(FILE);
    for round in 0..12 {
        let copy = run(copy_under_load(&store, &path, round));
        check(&format!("copy {round}"), &copy);
    }
    run(store.close());
}

async fn copy_under_load(store: &Store, path: &Path, round: u32) -> Vec<u8> {
    let mut copy = Vec::new();
    let mut file = File::open(path).unwrap();
    let mut part = vec![0; 1 << 16];
    while let len @ 1.. = file.read(&mut part).unwrap() {
        copy.write_all(&part[..len]).unwrap();
        for number in 0..40 {
            attempt(store, number, round * 40 + number, 1_000).await.unwrap();
        }
        if round.is_multiple_of(2) {
            commit(store).await;
        }
    }
    copy
}

/// Somebody writes over the file while it is open. Sooner or later that is noticed, and the mail flows on.
#[test]
fn a_file_damaged_while_it_is_open_is_replaced() {
    let directory = filled();
    let path = directory.path().join(FILE);
    let store = open_tiny(directory.path(), 64 << 20);
    let banned = bans::ban("192.0.2.0/24", 7, None);
    assert_eq!(run(store.ban(banned.clone())), Ok(true));
    let len = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().write_all(&vec![0xa5; len as usize]).unwrap();
    run(async {
        for number in 0..3_000 {
            // What is known cannot be read any more, so these are answered or pass.
            let _ = attempt(&store, number, number, 200_000 + number).await;
        }
        let mut tries = 0..9;
        while store.forget("nobody").await.is_err() {
            assert!(tries.next().is_some(), "the store does not recover");
        }
        store.close().await;
    });
    drop(store);
    let store = open_tiny(directory.path(), 64 << 20);
    assert_eq!(run(attempt(&store, 9_000, 9_000, 300_000)), Ok(Greylisted::New { wait: TERMS.delay }));
    assert_eq!(store.bans(time(8), None, 9), [banned], "what memory knows is written again");
    run(store.close());
    assert_eq!(set_aside(directory.path()).len(), 1);
}

#[test]
fn only_the_owner_may_read_it() {
    let directory = filled();
    let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_opened_is_said_clearly() {
    let config = Config::default();
    let error = |directory: &Path| Store::open(&config, directory).unwrap_err().to_string();
    assert!(error(Path::new("/nowhere/at/all")).starts_with("/nowhere/at/all/portcullis.redb: No such file"));
    assert!(error(Path::new("/dev/null")).starts_with("/dev/null/portcullis.redb: Not a directory"));
    // A directory in which not even root may create a file.
    assert!(error(Path::new("/proc/self")).starts_with("/proc/self/portcullis.redb: "));

    let directory = filled();
    let store = Store::open(&config, directory.path()).unwrap();
    assert!(matches!(Store::open(&config, directory.path()), Err(Error::InUse { .. })));
    run(store.close());

    let database = Database::open(directory.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(crate::engine::META).unwrap().insert("schema", 7_u64.to_le_bytes().as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(error(directory.path()).ends_with(
        "portcullis.redb: has schema 7 of a newer version, this one knows schema 2: use that version, or move the file away"
    ));
    assert!(set_aside(directory.path()).is_empty());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (text, expected) in [
        ("", None),
        ("url = \"valkey://u:p@mx\"\ntimeout = \"1500ms\"", None),
        (
            "url = \"valkeys+sentinel://a,b/m/1\"\ntls_cert_file = \"/c\"\ntls_key_file = \"/k\"\ntls_ca_file = \"/a\"",
            None,
        ),
        ("url = \"vallkey://mx\"", Some("store.url has an unknown scheme")),
        ("key_prefix = \"a*\"", Some("store.key_prefix may have")),
        ("key_prefix = \"{a}\"", Some("store.key_prefix may have")),
        ("timeout = \"0s\"", Some("store.timeout must be longer than 0s")),
        ("timeout = \"6s\"", Some("store.timeout must be longer than 0s")),
        ("url = \"valkey://mx\"\ntls_ca_file = \"/a\"", Some("store.tls_ca_file is of no use without TLS")),
        ("url = \"valkeys://mx\"\ntls_key_file = \"/k\"", Some("store.tls_key_file needs store.tls_cert_file")),
        ("url = \"valkeys://mx\"\ntls_cert_file = \"/c\"", Some("store.tls_cert_file needs store.tls_key_file")),
        ("size_max = 1000", Some("store.size_max must be 8388608 (8 MiB) at least")),
    ] {
        let config: Config = toml::from_str(text).unwrap();
        let found = config.check().err().map(|error| error.to_string());
        let is_expected = found.as_deref().zip(expected).is_some_and(|(found, expected)| found.starts_with(expected));
        assert!(is_expected || found.is_none() && expected.is_none(), "{text}: {found:?}");
    }
    assert!(toml::from_str::<Config>("size = 1").is_err());
}
