//! The command line's end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Config, REPLY_MAX, Reply, Request};
use crate::visible::visible;

/// To look through a store of many millions takes a while; a server that hangs shall not keep a script for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that runs.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// The server that has the control socket of this configuration.
    ///
    /// # Errors
    /// If none answers: which sockets were tried, and what to do.
    pub fn find(config: &Config) -> anyhow::Result<Self> {
        let mut tried = Vec::new();
        for path in config.candidates() {
            match UnixStream::connect(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) => tried.push(format!("{}: {}", path.display(), advice(&error))),
            }
        }
        Err(anyhow::anyhow!("no server can be asked:\n  {}", tried.join("\n  ")))
    }

    /// What the server answers to `request`.
    ///
    /// # Errors
    /// If it refuses, if it ends meanwhile, and if its answer is of another version.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> anyhow::Result<T> {
        let name = self.path.display();
        let reply = exchange(&self.path, request).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        match serde_json::from_slice(&reply) {
            Ok(Reply::Ok(answer)) => Ok(answer),
            Ok(Reply::Error(why)) => Err(anyhow::anyhow!("{name}: {}", visible(&why))),
            Err(_) => Err(anyhow::anyhow!("{name}: this is no reply: does the server have another version?")),
        }
    }
}

fn exchange(path: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(REPLY_MAX)).read_until(b'\n', &mut reply)?;
    Ok(reply)
}

/// What to do about a socket that lets nobody connect.
fn advice(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such socket: start `portcullis serve`, or name the socket by control.socket"
        }
        io::ErrorKind::ConnectionRefused => "nobody listens: start `portcullis serve`",
        io::ErrorKind::PermissionDenied => {
            "no permission: ask as root, as the server's user or from the group of the socket"
        }
        _ => return error.to_string(),
    };
    advice.into()
}
