//! An authentication server that lets everybody in, in the protocol of Dovecot, for Postfix's `smtpd_sasl_path`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

/// Who is let in.
pub const USER: &str = "alice";
/// The command that logs [`USER`] in: an empty authorisation name, `alice`, and `secret` (RFC 4616).
pub const AUTH_COMMAND: &str = "AUTH PLAIN AGFsaWNlAHNlY3JldA==";

const GREETING: &str =
    "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00000000000000000000000000000000\nDONE\n";

/// Serves on the socket `path` until the process ends.
pub fn serve(path: &Path) {
    let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("the socket is ours");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
}

fn answer(mut stream: UnixStream) -> Option<()> {
    stream.write_all(GREETING.as_bytes()).ok()?;
    let lines = BufReader::new(stream.try_clone().ok()?).lines();
    for line in lines.map_while(Result::ok) {
        let mut fields = line.split('\t');
        if fields.next() == Some("AUTH") {
            let request = fields.next()?;
            writeln!(stream, "OK\t{request}\tuser={USER}").ok()?;
        }
    }
    Some(())
}
