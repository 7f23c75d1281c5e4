//! Real Redis servers, each on a free port of the loopback interface with a directory of its own.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::peers::{Peer, program};
use super::postgrey::free_port;
use super::wait_for;

/// What the tests with Redis need. The second one comes with the first.
pub const PEERS: [Peer; 2] = [Peer::Program("redis-server"), Peer::Program("redis-cli")];

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that writes each change to its disk at once, so that it may be killed; it is when dropped.
pub struct Redis {
    child: Child,
    directory: TempDir,
    /// Where it listens.
    pub port: u16,
    options: Vec<String>,
    /// What `redis-cli` is told before each command.
    client: Vec<String>,
}

impl Redis {
    /// Starts one with these options.
    pub fn start(options: &[&str]) -> Self {
        Self::start_on(free_port(), options, &[])
    }

    /// Starts one, of which clients must know these options of `redis-cli`.
    pub fn start_for(options: &[&str], client: &[&str]) -> Self {
        Self::start_on(free_port(), options, client)
    }

    fn start_on(port: u16, options: &[&str], client: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let to_owned = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
        let options = to_owned(options);
        let child = spawn(port, &directory, &options);
        let redis = Self { child, directory, port, options, client: to_owned(client) };
        redis.await_start();
        redis
    }

    /// A sentinel of the master at `port`, which it calls `main`.
    pub fn sentinel(master: u16) -> Self {
        let (directory, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n",
            directory.path().display()
        );
        fs::write(&file, text).expect("our own directory");
        let options = vec![file.display().to_string(), "--sentinel".into()];
        let child = command(&options);
        let redis = Self { child, directory, port, options, client: Vec::new() };
        redis.await_start();
        redis
    }

    /// The nodes of a cluster that is complete.
    pub fn cluster() -> [Self; 3] {
        let nodes = [(); 3].map(|()| {
            // Its second port would be 10000 above the first one, and may not exist.
            let bus = free_port().to_string();
            let options = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
            (Self::start(&options), bus)
        });
        for (number, (node, _)) in nodes.iter().enumerate() {
            let (first, last) = (16_384 * number / 3, 16_384 * (number + 1) / 3 - 1);
            node.cli(&["cluster", "addslotsrange", &first.to_string(), &last.to_string()]);
            for (other, bus) in &nodes {
                node.cli(&["cluster", "meet", "127.0.0.1", &other.port.to_string(), bus]);
            }
        }
        for (node, _) in &nodes {
            wait_for("the cluster", PATIENCE, || {
                let told = node.cli(&["cluster", "info"]);
                let is_complete = told.contains("cluster_state:ok") && told.contains("cluster_size:3");
                is_complete.then_some(())
            });
        }
        nodes.map(|(node, _)| node)
    }

    /// The URL without credentials, as far as it is the same for all.
    pub fn url(&self) -> String {
        format!("valkey://127.0.0.1:{}/0", self.port)
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.client().args(arguments).output().expect("it was found before");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn client(&self) -> Command {
        let mut command = Command::new(program("redis-cli").expect("it was found before"));
        command.args(["-h", "localhost", "-p", &self.port.to_string()]).args(&self.client).stdin(Stdio::null());
        command
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it was not waited for");
        self.child.wait().expect("it is our child");
    }

    /// Starts it again at the same place, with what its disk has.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.directory, &self.options);
        self.await_start();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it was not waited for, so it has its number still");
    }

    fn await_start(&self) {
        wait_for("Redis", PATIENCE, || TcpStream::connect(("127.0.0.1", self.port)).ok());
        wait_for("Redis to answer", PATIENCE, || (!self.cli(&["ping"]).contains("LOADING")).then_some(()));
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, directory: &TempDir, options: &[String]) -> Child {
    let directory = directory.path().display().to_string();
    let port_option = if options.iter().any(|option| option == "--tls-cert-file") { "--tls-port" } else { "--port" };
    let own = [port_option, &port.to_string(), "--bind", "127.0.0.1", "--dir", &directory, "--save", ""];
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    // Without TLS there is no other port to close.
    let plain: &[&str] = if port_option == "--port" { &[] } else { &["--port", "0"] };
    let all = own.iter().chain(&durable).chain(plain).map(|option| (*option).to_owned());
    command(&all.chain(options.iter().cloned()).collect::<Vec<_>>())
}

fn command(options: &[String]) -> Child {
    let mut command = Command::new(program("redis-server").expect("it was found before"));
    command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it was found before")
}
