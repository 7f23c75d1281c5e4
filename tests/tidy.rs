//! What the code must hold and no lint can say: the arrows between crates, and where threads and clocks may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of the house a crate may name, from the ground up. Arrows only point down.
const ARROWS: &[(&str, &[&str])] = &[
    ("facts", &[]),
    ("wire", &["facts"]),
    ("dns", &["facts"]),
    ("net", &["facts"]),
    ("store", &["facts"]),
    ("judge", &["dns", "store", "facts"]),
    ("doors", &["judge", "store", "net", "dns", "wire", "facts"]),
    ("portcullis", &["doors", "judge", "store", "net", "dns", "wire", "facts"]),
];

/// Words that may stand only in the crates named.
const PLACES: &[(&str, &[&str])] = &[
    ("tokio::spawn", &["net", "dns", "store", "portcullis"]),
    ("thread::spawn", &["portcullis"]),
    ("thread::Builder", &["net", "store", "portcullis"]),
    ("UdpSocket", &["dns"]),
    ("TcpListener", &["net"]),
    ("UnixListener", &["net"]),
    ("Instant::now", &["net", "dns", "store", "doors", "portcullis"]),
    ("SystemTime::now", &["store", "doors", "portcullis"]),
    ("unbounded_channel", &[]),
    ("mpsc::channel()", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources of a crate, with the tests in them cut off.
fn sources(of: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates").join(of).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs")
                && name != "tests.rs"
                && !path.components().any(|part| part.as_os_str() == "tests")
            {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

#[test]
fn arrows_only_point_down() {
    for (name, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            if ARROWS.iter().any(|(other, _)| *other == dependency) {
                assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
            }
        }
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
    }
    let crates = fs::read_dir(root().join("crates")).unwrap().count();
    assert_eq!(crates, ARROWS.len(), "a crate is missing from the table of arrows");
}

#[test]
fn threads_sockets_and_clocks_keep_their_places() {
    for (name, _) in ARROWS {
        for (path, code) in sources(name) {
            for (word, places) in PLACES {
                let has = code.lines().any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
                assert!(!has || places.contains(name), "{}: {word} has no place in {name}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (name, _) in ARROWS {
        for (path, code) in sources(name) {
            assert!(code.starts_with("//! "), "{} does not begin with a //! sentence", path.display());
        }
    }
}
