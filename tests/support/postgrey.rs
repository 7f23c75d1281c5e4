//! A real postgrey.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{peers, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// Debian's lists of clients and recipients that postgrey lets pass.
pub const WHITELISTS: [&str; 2] = ["/etc/postgrey/whitelist_clients", "/etc/postgrey/whitelist_recipients"];

/// A postgrey on a port of its own; it is killed when dropped.
pub struct Postgrey {
    child: Option<Child>,
    port: u16,
}

impl Drop for Postgrey {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Postgrey {
    /// Starts one with its memory in `directory`, these lists of clients and recipients, and further options.
    pub fn start(directory: &Path, [clients, recipients]: [&str; 2], options: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(peers::program("postgrey").unwrap())
            .arg(format!("--inet=127.0.0.1:{port}"))
            .arg(format!("--dbdir={}", directory.display()))
            .arg(format!("--whitelist-clients={clients}"))
            .arg(format!("--whitelist-recipients={recipients}"))
            .args(["--user=root", "--group=root"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgrey = Self { child: Some(child), port };
        wait_for("postgrey", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
        postgrey
    }

    /// The process, for whoever ends it.
    pub fn into_child(mut self) -> Child {
        self.child.take().expect("it is taken once")
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("inet:127.0.0.1:{}", self.port)
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
