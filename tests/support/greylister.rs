//! The program as a greylister, and `portcullis greylist` beside it.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::policy::Connection;
use super::program::{self, Server};

/// By the steered clock, in seconds since 1970.
pub const START: u64 = 1_700_000_000;

/// A server that greylists, with a control socket in a directory that all may enter.
pub struct Gate {
    pub server: Server,
    pub directory: TempDir,
}

impl Gate {
    /// Starts one with these further lines in the section `[control]`, and sections after it.
    pub fn start(control: &str) -> Self {
        Self::start_with(control, "")
    }

    /// The same with further lines in the section `[greylist]`, which does as postgrey unless they say otherwise.
    pub fn start_with(control: &str, greylist: &str) -> Self {
        Self::start_at(control, greylist, None)
    }

    /// One that keeps in this directory what must survive.
    pub fn start_in(state: &Path) -> Self {
        Self::start_at("", "", Some(state))
    }

    fn start_at(control: &str, greylist: &str, state: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let socket = directory.path().join("control");
        let pool_proof = if greylist.contains("pool_proof") { "" } else { "pool_proof = false\n" };
        let config = format!(
            "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"check_greylist\"]\n\
             [greylist]\n{pool_proof}{greylist}[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n\
             [control]\nsocket = \"{}\"\n{control}",
            socket.display()
        );
        let server = Server::start_in(&config, state);
        server.await_line(&format!("the control socket is unix:{}", socket.display()));
        fs::copy(server.config(), directory.path().join("portcullis.toml")).unwrap();
        Self { server, directory }
    }

    /// One attempt to deliver, so many seconds after the start. Whether it has to wait.
    pub fn waits(&self, after: u64, client: &str, sender: &str) -> bool {
        waits(&mut Connection::open(&self.server.endpoint()).unwrap(), after, client, sender)
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// Runs `portcullis greylist` against it.
    pub fn greylist(&self, arguments: &[&str]) -> Output {
        greylist(&self.directory.path().join("portcullis.toml"), arguments)
    }

    /// What `portcullis greylist` says where it ends with `status`.
    pub fn told(&self, arguments: &[&str], status: i32) -> String {
        let output = self.greylist(arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}{complaint}");
        told
    }

    /// The objects that it prints with `--json`.
    pub fn objects(&self, arguments: &[&str], status: i32) -> Vec<Value> {
        let told = self.told(&[arguments, &["--json"]].concat(), status);
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the server replies to these octets.
    pub fn reply(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(request).unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        reply
    }
}

/// One attempt to deliver, so many seconds after the start. Whether it has to wait.
pub fn waits(connection: &mut Connection, after: u64, client: &str, sender: &str) -> bool {
    attempt(connection, after, client, sender).unwrap()
}

/// The same of a server that may be killed meanwhile.
pub fn attempt(connection: &mut Connection, after: u64, client: &str, sender: &str) -> io::Result<bool> {
    let time = (START + after).to_string();
    let action = connection.ask(&[
        ("protocol_state", "RCPT"),
        ("client_address", client),
        ("client_name", "unknown"),
        ("reverse_client_name", "unknown"),
        ("helo_name", "h.example"),
        ("sender", sender),
        ("recipient", "u@ours.example"),
        ("policy_test_time", &time),
    ]);
    Ok(action?.starts_with("DEFER_IF_PERMIT"))
}

/// Runs `portcullis greylist` with this configuration.
pub fn greylist(config: &Path, arguments: &[&str]) -> Output {
    program::run(&[&["greylist", "--config", config.to_str().unwrap()], arguments].concat())
}
