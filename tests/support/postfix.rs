//! A private Postfix: Debian's package with directories, ports and restriction lists of the test's own.

use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::netns::HOST;
use super::peers::program;
use super::wait_for;

/// The daemons beside smtpd that a Postfix without delivery needs.
const DAEMONS: &str = "\
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
anvil     unix  -  -  n  -     1  anvil
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
postlog   unix-dgram n -  n  -  1  postlogd
";

/// What every private Postfix sets; unless a test sets it itself.
const MAIN: &str = "\
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file_prefixes = /
inet_interfaces = all
inet_protocols = all
myhostname = mx.test
mydestination =
local_recipient_maps =
relay_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
local_transport = discard:
relay_transport = discard:
default_transport = discard:
smtpd_peername_lookup = yes
smtpd_reject_unlisted_recipient = no
smtpd_reject_unlisted_sender = no
smtpd_error_sleep_time = 0
in_flow_delay = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = none
";

/// An smtpd with settings of its own.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The port, on every address.
    pub port: u16,
    /// Parameters and their values, as `-o` takes them.
    pub options: Vec<(String, String)>,
}

/// A running Postfix; it stops when dropped.
pub struct Postfix {
    directory: TempDir,
}

impl Postfix {
    /// A directory that Postfix's own user can reach, for sockets and tables made before the start.
    pub fn directory() -> TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).expect("the directory is ours");
        directory
    }

    /// Starts a Postfix in `directory` with these lines in its main.cf and these services.
    pub fn start(directory: TempDir, main: &str, services: &[Service]) -> Self {
        let postfix = Self { directory };
        postfix.write(main, services);
        let Output { status, stderr, .. } = postfix.command("postfix").arg("start").output().expect("it was found");
        let complaint = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "postfix start: {complaint}\n{}", postfix.log());
        postfix
    }

    /// Where the service on `port` is reached by clients of the family of `client`.
    pub fn address(client: IpAddr, port: u16) -> SocketAddr {
        let address = HOST[usize::from(client.is_ipv6())];
        SocketAddr::new(address.parse().expect("a constant"), port)
    }

    /// Everything in its log.
    pub fn log(&self) -> String {
        fs::read(self.path("mail.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// What went wrong inside, for messages.
    pub fn troubles(&self) -> String {
        let is_trouble = |line: &&str| line.contains("fatal: ") || line.contains("panic: ");
        self.log().lines().filter(is_trouble).collect::<Vec<_>>().join("\n")
    }

    /// The first line of the log that holds `text`, awaited if need be.
    pub fn await_line(&self, text: &str) -> String {
        wait_for(&format!("{text:?} in Postfix's log"), Duration::from_secs(10), || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// What stands in its queue: `postqueue -p`.
    pub fn queue(&self) -> String {
        self.run("postqueue", &["-p"])
    }

    /// The message of this queue id, as it stands in the queue.
    pub fn message(&self, queue_id: &str) -> String {
        self.run("postcat", &["-q", queue_id])
    }

    /// Hands in a message as a program on the same host does, from this bare sender, to the recipients in its header.
    pub fn submit(&self, sender: &str, message: &str) {
        let mut sendmail = Command::new(program("sendmail").expect("it comes with Postfix"));
        let mut sendmail = sendmail.arg("-C").arg(self.path("etc")).args(["-f", sender, "-t"]);
        sendmail = sendmail.stdin(Stdio::piped());
        let mut sendmail = sendmail.spawn().expect("it was found");
        let mut stdin = sendmail.stdin.take().expect("it was piped");
        stdin.write_all(message.as_bytes()).expect("it reads");
        drop(stdin);
        assert!(sendmail.wait().expect("it is our child").success(), "sendmail: {}", self.log());
    }

    fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name).args(arguments).output().expect("it was found");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes the lookup tables of these text files: `hash:` reads no text.
    pub fn postmap(files: &[PathBuf]) {
        if files.is_empty() {
            return;
        }
        // It needs a main.cf, and the machine's own may be missing.
        let directory = Self::directory();
        fs::write(directory.path().join("main.cf"), "compatibility_level = 3.6\n").expect("our own directory");
        let tables = files.iter().map(|file| format!("hash:{}", file.display()));
        let mut postmap = Command::new(program("postmap").expect("it comes with Postfix"));
        let output = postmap.arg("-c").arg(directory.path()).args(tables).output().expect("it was found");
        assert!(output.status.success(), "postmap: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, main: &str, services: &[Service]) {
        for directory in ["etc", "spool", "data"] {
            fs::create_dir_all(self.path(directory)).expect("a directory in our own");
        }
        let chown = Command::new("chown").arg("postfix").arg(self.path("data")).status();
        assert!(chown.is_ok_and(|status| status.success()), "no user postfix");
        for file in ["postfix-files", "dynamicmaps.cf"] {
            fs::copy(Path::new("/etc/postfix").join(file), self.path("etc").join(file)).expect("the package has it");
        }
        let copied = Command::new("cp").args(["-r", "/etc/postfix/dynamicmaps.cf.d"]).arg(self.path("etc")).status();
        assert!(copied.is_ok_and(|status| status.success()), "the package has dynamicmaps.cf.d");
        let root = self.directory.path().display();
        let places = format!(
            "config_directory = {root}/etc\nqueue_directory = {root}/spool\ndata_directory = {root}/data\n\
             maillog_file = {root}/mail.log\n"
        );
        let set_by_test = |line: &str| main.lines().any(|own| parameter(own) == parameter(line));
        let ours = MAIN.lines().filter(|line| !set_by_test(line)).map(|line| format!("{line}\n"));
        fs::write(self.path("etc/main.cf"), places + &ours.collect::<String>() + main).expect("our own directory");
        fs::write(self.path("etc/master.cf"), master(services)).expect("our own directory");
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name).expect("Postfix was found before"));
        command.arg("-c").arg(self.path("etc"));
        // It complains to a terminal, if there is one, in place of the log.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("MAIL_CONFIG");
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.command("postfix").arg("stop").output();
    }
}

/// The name before the `=` of a line of main.cf.
fn parameter(line: &str) -> &str {
    line.split('=').next().unwrap_or(line).trim()
}

fn master(services: &[Service]) -> String {
    let mut text = DAEMONS.to_owned();
    for service in services {
        let _ = writeln!(text, "{} inet n - n - - smtpd", service.port);
        for (name, value) in &service.options {
            let _ = writeln!(text, "    -o {{ {name} = {value} }}");
        }
    }
    text
}
