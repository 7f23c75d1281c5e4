//! A policy server in a process of its own, watched from outside: its processor time and its memory.
//!
//! Its log goes into a file: to read it along, as the tests do, would cost time that is measured.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::support::postgrey::Postgrey;
use super::support::wait_for;
use super::{accepting, thoughtless};

/// A start takes no longer, even on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// proc(5): processor time is counted in ticks of USER_HZ, 100 a second on all that we build for.
const TICK: Duration = Duration::from_millis(10);

/// A running server; it is killed when dropped.
pub struct Server {
    child: Child,
    directory: Arc<TempDir>,
    /// Where it listens, if not at a Unix-domain socket.
    pub address: SocketAddr,
}

impl Server {
    /// `portcullis serve` with this configuration and the policy door alone.
    pub fn portcullis(config: &str) -> Self {
        Self::portcullis_in(temporary(), config)
    }

    /// The same with what is remembered in `directory`, which others may go on with.
    pub fn portcullis_in(directory: Arc<TempDir>, config: &str) -> Self {
        let doors = "doors.policy.listen = [\"inet:127.0.0.1:0\"]\ndoors.milter.listen = []";
        Self::serving(directory, &format!("{doors}\n{config}"))
    }

    /// `portcullis serve` with this configuration and the milter door alone, at `endpoint`.
    pub fn milter(config: &str, endpoint: &str) -> Self {
        let doors = format!(
            "doors.policy.listen = []\n\
             doors.milter = {{ listen = [\"{endpoint}\"], socket_mode = \"0666\", connections_max = 10000 }}"
        );
        Self::serving(temporary(), &format!("{doors}\n{config}"))
    }

    fn serving(directory: Arc<TempDir>, config: &str) -> Self {
        let file = directory.path().join("portcullis.toml");
        fs::write(&file, config).expect("the directory is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["serve", "--config"]).arg(file).env("STATE_DIRECTORY", directory.path());
        Self::start(&mut command, directory)
    }

    /// The server that answers without thinking.
    pub fn thoughtless() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the running program has a path"));
        Self::start(command.arg(thoughtless::NAME), temporary())
    }

    /// The milter that accepts everything, at `endpoint`.
    pub fn accepting(endpoint: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the running program has a path"));
        Self::start(command.args([accepting::NAME, endpoint]), temporary())
    }

    /// A postgrey with empty lists.
    pub fn postgrey() -> Self {
        let directory = temporary();
        let (path, empty) = (directory.path(), directory.path().join("empty"));
        fs::write(&empty, "").expect("the directory is ours");
        let list = empty.to_str().expect("temporary directories are text");
        let postgrey = Postgrey::start(path, [list; 2], &["--delay=300"]);
        let address = postgrey.endpoint().trim_start_matches("inet:").parse().expect("an address");
        Self { child: postgrey.into_child(), directory, address }
    }

    fn start(command: &mut Command, directory: Arc<TempDir>) -> Self {
        let log = File::create(directory.path().join("log")).expect("the directory is ours");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut server = Self {
            child: command.spawn().expect("the program can be started"),
            directory,
            address: SocketAddr::from(([0; 4], 0)),
        };
        server.address = wait_for("a server's start", PATIENCE, || {
            let log = server.log();
            assert!(matches!(server.child.try_wait(), Ok(None)), "the server ended:\n{log}");
            let (_, listening) = log.split_once("listening on ")?;
            let (endpoint, _) = listening.split_once(' ')?;
            Some(endpoint.strip_prefix("inet:").and_then(|address| address.parse().ok()).unwrap_or(server.address))
        });
        server
    }

    /// The processor time it has used, its own and the system's on its behalf.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The second field is the program's name, in parentheses, and may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u32 = fields.skip(11).take(2).map(|field| field.parse().unwrap_or(0)).sum();
        TICK * ticks
    }

    /// A line of /proc/PID/status that counts memory (`VmRSS`, `VmHWM`), in MiB.
    pub fn memory(&self, line: &str) -> f64 {
        let status = self.proc("status");
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap_or_default();
        value.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }

    /// How many octets this file of its state directory has, in MiB.
    pub fn file_size(&self, file: &str) -> f64 {
        let size = fs::metadata(self.directory.path().join(file)).map_or(0, |metadata| metadata.len());
        size as f64 / f64::from(1 << 20)
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the server is running")
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

fn temporary() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
