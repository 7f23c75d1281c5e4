//! What the tests and the benchmarks stand on: a fake DNS, private Postfixes, namespaces, clients, the program itself.

// Tests and benchmarks take different parts of it.
#![allow(dead_code)]

pub mod disk;
pub mod dns;
pub mod gate;
pub mod greylister;
pub mod netns;
pub mod peers;
pub mod policy;
pub mod policy_service;
pub mod postfix;
pub mod postgrey;
pub mod program;
pub mod random;
pub mod redis;
pub mod sasl;
pub mod sendmail;
pub mod smtp;
pub mod tls;
pub mod zone;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prints `text` even where the test runner keeps the output of passing tests to itself.
pub fn aloud(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Asks again and again until there is an answer, and panics naming `what` when `at_most` has passed without one.
/// It is for what lies outside of this process and cannot wake us.
pub fn wait_for<T>(what: &str, at_most: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + at_most;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {at_most:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A place in the project's own tree.
pub fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
