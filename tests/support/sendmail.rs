//! A private Sendmail: Debian's packages, unpacked beside Postfix, with which they cannot be installed.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::netns::HOST;
use super::peers::{PEERS, Peer};
use super::{project, wait_for};

/// What a test of Sendmail needs.
pub const NEEDS: [Peer; 3] = [Peer::Fetched("sendmail/usr/libexec/sendmail/sendmail"), Peer::Program("m4"), UNSHARE];
const UNSHARE: Peer = Peer::Program("unshare");
const PORT: u16 = 2525;
const PATIENCE: Duration = Duration::from_secs(20);

/// It serves the address of the host, keeps what it takes in its queue, and asks nobody but milters.
const CONFIGURATION: &str = "
OSTYPE(`linux')
define(`QUEUE_DIR', `DIRECTORY/queue')
define(`confPID_FILE', `DIRECTORY/pid')
define(`STATUS_FILE', `')
define(`HELP_FILE', `')
define(`ALIAS_FILE', `')
define(`confDELIVERY_MODE', `queueonly')
define(`confDOMAIN_NAME', `mx.test')
FEATURE(`accept_unresolvable_domains')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Port=PORT, Addr=HOST, Name=MTA')
FILTER
MAILER(`local')
MAILER(`smtp')
LOCAL_CONFIG
Cw ours.test
";

/// A running Sendmail; it is killed when dropped.
pub struct Sendmail {
    child: Child,
    directory: TempDir,
}

impl Sendmail {
    /// Starts one with this line about its milter.
    pub fn start(filter: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path().display().to_string();
        fs::create_dir(directory.path().join("queue")).expect("our own directory");
        let macros = CONFIGURATION.replace("DIRECTORY", &place).replace("PORT", &PORT.to_string());
        let source = directory.path().join("sendmail.mc");
        fs::write(&source, macros.replace("HOST", HOST[0]).replace("FILTER", filter)).expect("our own directory");
        let language = root().join("usr/share/sendmail/cf");
        let mut m4 = Command::new("m4");
        let m4 = m4.arg(format!("-D_CF_DIR_={}/", language.display())).arg(language.join("m4/cf.m4")).arg(source);
        let output = m4.output().expect("it was found");
        assert!(output.status.success(), "m4: {}", String::from_utf8_lossy(&output.stderr));
        let configuration = directory.path().join("sendmail.cf");
        fs::write(&configuration, output.stdout).expect("our own directory");
        // Where the host's name has no domain, Sendmail waits a minute for one.
        let mut child = Command::new("unshare");
        child.args(["--uts", "sh", "-c", "hostname mx.test && exec \"$@\"", "sh"]);
        child.arg(root().join("usr/libexec/sendmail/sendmail")).arg("-bD").arg("-C").arg(configuration);
        let child = child.stdin(Stdio::null()).spawn().expect("it was found");
        wait_for("Sendmail", PATIENCE, || TcpStream::connect((HOST[0], PORT)).ok());
        Self { child, directory }
    }

    /// The file of a message that waits in its queue, and whether it is held there.
    pub fn queued(&self, queue_id: &str) -> (String, bool) {
        let queue = self.directory.path().join("queue");
        let read = |kind| fs::read(queue.join(format!("{kind}{queue_id}")));
        let (message, is_held) = read("hf").map(|message| (message, true)).unwrap_or_else(|_| {
            (read("qf").unwrap_or_else(|error| panic!("{queue_id} is not in the queue: {error}")), false)
        });
        (String::from_utf8_lossy(&message).into_owned(), is_held)
    }
}

impl Drop for Sendmail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    project(PEERS).join("sendmail")
}
