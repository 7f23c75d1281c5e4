//! TLS for the clients of the tests, by the program `openssl`, on which Debian's Postfix depends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::peers::program;
use super::wait_for;

/// No start of `openssl` takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without this `openssl` reads the machine's own.
const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n";

/// A certificate and its key, in files.
#[derive(Debug)]
pub struct Certificate {
    file: PathBuf,
    /// The common name, where [`Authority`] has signed it.
    pub trusted_name: Option<&'static str>,
    /// The SHA-256 digest of the certificate, as Postfix writes it.
    pub fingerprint: String,
    /// The same of its public key.
    pub pubkey_fingerprint: String,
}

/// Who signs certificates, with a certificate of its own.
pub struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// A new one, with its files in `directory`.
    pub fn new(directory: &Path) -> Self {
        let authority = Self { directory: directory.to_owned() };
        fs::write(authority.path("openssl.cnf"), CONFIG).expect("our own directory");
        authority.make("authority", "/CN=the tests' authority", &["-addext", "basicConstraints=critical,CA:TRUE"]);
        authority
    }

    /// A certificate that it has signed for `name`.
    pub fn signed(&self, name: &'static str) -> Certificate {
        let file = self.make(name, &format!("/CN={name}"), &self.signer());
        Certificate::new(file, Some(name))
    }

    /// A certificate that it has signed for a server of this name in the DNS, as clients check it (RFC 9525 §6.3).
    pub fn signed_for_server(&self, name: &'static str) -> Certificate {
        let names = format!("subjectAltName=DNS:{name}");
        let more = ["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"].map(str::to_owned);
        let file = self.make(name, &format!("/CN={name}"), &[self.signer().as_slice(), &more].concat());
        Certificate::new(file, Some(name))
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A certificate that nobody has signed but its owner. It has no common name: Postfix would show that to the
    /// client, and tell no policy server of it.
    pub fn self_signed(&self, name: &'static str) -> Certificate {
        Certificate::new(self.make(name, &format!("/O={name}"), &[""; 0]), None)
    }

    /// Lines of main.cf: the server's certificate, and what it makes of those of clients.
    pub fn main_cf(&self) -> String {
        let server = self.signed("mx.test");
        format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_ask_ccert = yes\nsmtpd_tls_fingerprint_digest = sha256\n\
             smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_CAfile = {}\n",
            server.file.display(),
            server.file.with_extension("key").display(),
            self.file().display(),
        )
    }

    fn signer(&self) -> [String; 4] {
        let [own, key] = [self.file(), self.path("authority.key")].map(|file| file.display().to_string());
        ["-CA".into(), own, "-CAkey".into(), key]
    }

    fn make(&self, name: &str, subject: &str, more: &[impl AsRef<OsStr>]) -> PathBuf {
        let file = self.path(name).with_extension("pem");
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 100 -subj".split(' ');
        let mut command = openssl();
        command.args(key).arg(subject).arg("-config").arg(self.path("openssl.cnf")).args(more);
        command.arg("-keyout").arg(file.with_extension("key")).arg("-out").arg(&file);
        output(&mut command);
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Certificate {
    /// The file of the certificate, and that of its key.
    pub fn files(&self) -> [PathBuf; 2] {
        [self.file.clone(), self.file.with_extension("key")]
    }

    fn new(file: PathBuf, trusted_name: Option<&'static str>) -> Self {
        let key = file.with_extension("der");
        let digest = |arguments: &[&str]| {
            let printed = output(openssl().args(arguments));
            let (_, digest) = printed.trim().rsplit_once('=').expect("a digest stands behind its name");
            digest.trim().to_uppercase()
        };
        let file_name = file.display().to_string();
        let fingerprint = digest(&["x509", "-in", &file_name, "-noout", "-fingerprint", "-sha256"]);
        let private = file.with_extension("key");
        output(openssl().args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(private).arg("-out").arg(&key));
        let pubkey_fingerprint = digest(&["dgst", "-sha256", "-c", &key.display().to_string()]);
        Self { file, trusted_name, fingerprint, pubkey_fingerprint }
    }
}

fn openssl() -> Command {
    let mut command = Command::new(program("openssl").expect("it was found before"));
    command.env_remove("OPENSSL_CONF");
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it was found before");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The plain text of a connection that is encrypted by a process of its own.
pub struct Stream {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    _directory: TempDir,
}

impl Stream {
    /// Encrypts all that follows on `connection`, and shows the server a certificate or none.
    pub fn over(connection: TcpStream, certificate: Option<&Certificate>) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        let mut command = openssl();
        // Without its commands "RCPT" is no wish for a new key.
        command.args(["s_client", "-quiet", "-nocommands", "-unix"]).arg(&socket);
        if let Some(Certificate { file, .. }) = certificate {
            command.arg("-cert").arg(file).arg("-key").arg(file.with_extension("key"));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (stdin, stdout) = (child.stdin.take().expect("it was piped"), child.stdout.take().expect("it was piped"));
        let (encrypted, _) = wait_for("openssl to connect", PATIENCE, || listener.accept().ok());
        encrypted.set_nonblocking(false)?;
        relay(connection, encrypted)?;
        Ok(Self { child, stdin, stdout, _directory: directory })
    }
}

/// Passes on what arrives at either end, until one of them is closed.
fn relay(connection: TcpStream, encrypted: UnixStream) -> io::Result<()> {
    let (mut from_server, mut to_client) = (connection.try_clone()?, encrypted.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (encrypted, connection);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    Ok(())
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.flush()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
