//! What the tests need beside Rust, and what becomes of a test where it is missing.

use std::env;
use std::path::PathBuf;

use super::{aloud, project};

/// Where `tests/peers/install.sh` puts what is not installed as a package.
pub const PEERS: &str = "target/peers";

/// Something outside of the project that a test needs.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// The test runs as root: it makes network namespaces.
    Root,
    /// A program, found in `PATH` or in the directories of the administrator's programs.
    Program(&'static str),
    /// A file or a folder in [`PEERS`].
    Fetched(&'static str),
    /// Data beside the project's tree.
    Data(&'static str),
}

/// Whether everything is there. Where it is not, says so aloud, and the test returns; where tests must run
/// (`CI=true` or `PORTCULLIS_TESTS_REQUIRE_PEERS=1`), the test fails instead.
pub fn present(test: &str, peers: &[Peer]) -> bool {
    let missing: Vec<String> = peers.iter().filter(|peer| !peer.is_present()).map(Peer::name).collect();
    missing.is_empty() || skip(test, &missing.join(", "))
}

/// Says that `test` cannot run for want of `what`; false, unless tests must run.
pub fn skip(test: &str, what: &str) -> bool {
    let must_run = |name: &str, value: &str| env::var(name).is_ok_and(|given| given.eq_ignore_ascii_case(value));
    let text = format!("SKIPPED {test}: needs {what}");
    assert!(!must_run("CI", "true") && !must_run("PORTCULLIS_TESTS_REQUIRE_PEERS", "1"), "{text}");
    aloud(&text);
    false
}

/// Data that lies beside the project's tree, as `../shared` does.
pub fn beside(path: &str) -> PathBuf {
    project("..").join(path)
}

impl Peer {
    /// Whether it is there.
    pub fn is_present(&self) -> bool {
        match self {
            Self::Root => rustix::process::geteuid().is_root(),
            Self::Program(name) => program(name).is_some(),
            Self::Fetched(path) => project(PEERS).join(path).exists(),
            Self::Data(path) => beside(path).exists(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Root => "root".into(),
            Self::Program(name) => format!("the program {name}"),
            Self::Fetched(path) => format!("{PEERS}/{path} (tests/peers/install.sh)"),
            Self::Data(path) => format!("the data in ../{path}"),
        }
    }
}

/// Where a program lies. Tests run as root have no `/usr/sbin` in their path everywhere.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|directory| directory.join(name)).find(|file| file.is_file())
}
