//! The program itself, as an administrator starts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::wait_for;

/// A start, a stop or a line of the log takes no longer, even on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program with these arguments, run to its end.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("the program can be started")
}

/// What `portcullis explain --json` says, with this configuration file and these further arguments.
pub fn explain(config: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = command().args(["explain", "--json", "--config"]).arg(config).args(arguments).output();
    let Output { status, stdout, stderr } = output.expect("the program can be started");
    // 1 is an answer too: the mail was refused.
    assert!(
        matches!(status.code(), Some(0 | 1)),
        "explain {arguments:?}: {status}: {}",
        String::from_utf8_lossy(&stderr)
    );
    serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("explain {arguments:?}: {error}"))
}

/// What `portcullis journal` tells of this state directory, a decision on each line, and what it complains of.
pub fn journal(state: &Path) -> (String, String) {
    let output = command().args(["journal", "tail", "-n", "100000"]).env("STATE_DIRECTORY", state).output();
    let Output { status, stdout, stderr } = output.expect("the program can be started");
    let [told, complaint] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success(), "{status}: {complaint}");
    (told, complaint)
}

/// `portcullis serve`; it is killed when dropped.
pub struct Server {
    child: Child,
    log: Arc<Log>,
    directory: TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    text: String,
    ended: bool,
}

impl Server {
    /// Starts a server with this configuration, and waits until it listens: by the milter protocol only where the
    /// configuration says so, for tests run side by side and the default port is one.
    pub fn start(config: &str) -> Self {
        Self::start_in(config, None)
    }

    /// The same with its state in this directory.
    pub fn start_in(config: &str, state: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let no_milter = if config.contains("doors.milter") { "" } else { "doors.milter.listen = []\n" };
        let config = no_milter.to_owned() + config;
        fs::write(directory.path().join("portcullis.toml"), config).expect("a file in our own directory");
        let mut child = command()
            .args(["serve", "--config"])
            .arg(directory.path().join("portcullis.toml"))
            .env("STATE_DIRECTORY", state.unwrap_or(directory.path()))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program can be started");
        let log = Arc::new(Log::default());
        let (lines, shared) = (BufReader::new(child.stderr.take().expect("it was piped")), Arc::clone(&log));
        thread::spawn(move || shared.follow(lines));
        let server = Self { child, log, directory };
        server.await_line("listening on ");
        server
    }

    /// Where it listens, as its log tells: `inet:127.0.0.1:10023`.
    pub fn endpoint(&self) -> String {
        let line = self.await_line("listening on ");
        let (_, rest) = line.split_once("listening on ").expect("the line was chosen for it");
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// The configuration file, to be changed before [`Server::signal`] with HUP.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("portcullis.toml")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.log.lines.lock().unwrap().text.clone()
    }

    /// The first line of the log that holds `text`, awaited if need be.
    pub fn await_line(&self, text: &str) -> String {
        let log = self.log.lines.lock().unwrap();
        let missing = |log: &mut Lines| !log.ended && !log.text.contains(text);
        let (log, _) = self.log.grown.wait_timeout_while(log, PATIENCE, missing).unwrap();
        let line = log.text.lines().find(|line| line.contains(text)).map(str::to_owned);
        let whole = log.text.clone();
        drop(log);
        line.unwrap_or_else(|| panic!("the server did not log {text:?}:\n{whole}"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it was not waited for, so it has its number still");
    }

    /// Its memory in use, in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }

    /// Ends it with SIGTERM, and returns how it ended and what it had logged.
    pub fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        let status = wait_for("the server's end", PATIENCE, || self.child.try_wait().expect("it is our child"));
        // Its last lines may still be on their way through the pipe.
        let log = self.log.lines.lock().unwrap();
        let (log, _) = self.log.grown.wait_timeout_while(log, PATIENCE, |log| !log.ended).unwrap();
        let text = log.text.clone();
        drop(log);
        (status, text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn follow(&self, lines: impl BufRead) {
        for line in lines.lines().map_while(Result::ok) {
            let mut log = self.lines.lock().unwrap();
            log.text.push_str(&line);
            log.text.push('\n');
            self.grown.notify_all();
        }
        self.lines.lock().unwrap().ended = true;
        self.grown.notify_all();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    // Nothing of the developer's own setting-up counts.
    command.env_remove("PORTCULLIS_CONFIG").env_remove("RUST_LOG");
    // Nor a server of theirs: no directory can be made there.
    command.env_remove("RUNTIME_DIRECTORY").env("STATE_DIRECTORY", "/dev/null/portcullis");
    // What only tests may ask for: a panic in the middle of a request.
    command.env("PORTCULLIS_TESTING", "1");
    command
}
