//! A test in a network of its own: any client address, its own resolver, every port free.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, id};
use std::sync::atomic::{AtomicU32, Ordering};

use super::peers::{self, Peer};

/// Set where a test runs inside its namespace.
const INSIDE: &str = "PORTCULLIS_NETNS";
/// Networks of which any address may be bound or reached on the loopback device.
const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "45.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"];

/// The addresses of the host itself.
pub const HOST: [&str; 2] = ["192.0.2.25", "2001:db8::25"];

/// Runs `test` in its own network namespace, where the DNS is asked at 127.0.0.1:53 and nowhere else. `test` must be
/// a closure of the test function: its place in the code is the test's name.
///
/// The namespace is entered by a new process of the same test binary, as no thread of this one could go there alone.
pub fn inside<F: FnOnce()>(needs: &[Peer], test: F) {
    if std::env::var_os(INSIDE).is_some() {
        // IPv4 lets any address of a local route be bound; IPv6 must be told.
        fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").expect("root sets what its namespace does");
        return test();
    }
    let name = test_name::<F>();
    if !peers::present(name, &[&[Peer::Root, Peer::Program("ip")], needs].concat()) {
        return;
    }
    match Namespace::new() {
        Ok(namespace) => namespace.run(name),
        Err(error) => drop(peers::skip(name, &format!("network namespaces ({error})"))),
    }
}

/// `crate::module::test::{{closure}}` → `module::test`, the runner's name of the test.
fn test_name<F>() -> &'static str {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, name)| name)
}

/// A network namespace with its files; both go when it is dropped, with every process in it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new namespace: loopback, [`HOST`], any address of [`NETWORKS`], and the DNS at 127.0.0.1:53.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_abandoned();
        let name = format!("pc-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.fill()?;
        Ok(namespace)
    }

    fn fill(&self) -> Result<(), String> {
        let directory = self.directory();
        let write = |file: &str, text: &str| fs::write(directory.join(file), text).map_err(|error| error.to_string());
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        // "search .": the machine's own domain is never tried.
        write("resolv.conf", "nameserver 127.0.0.1\nsearch .\noptions timeout:3 attempts:1\n")?;
        write("hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
        write("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n")?;
        ip(&["-n", &self.name, "link", "set", "lo", "up"])?;
        for address in HOST {
            ip(&["-n", &self.name, "address", "add", address, "dev", "lo"])?;
        }
        for network in NETWORKS {
            let family = if network.contains(':') { "-6" } else { "-4" };
            ip(&[family, "-n", &self.name, "route", "add", "local", network, "dev", "lo"])?;
        }
        Ok(())
    }

    /// The running binary, to be started once more inside.
    pub fn command(&self) -> Command {
        let binary = std::env::current_exe().expect("the running binary has a path");
        let mut command = Command::new(peers::program("ip").expect("ip was found before"));
        command.args(["netns", "exec", &self.name]).arg(binary);
        command
    }

    fn run(&self, test: &str) {
        let output = self
            .command()
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            // What a test says aloud is heard at once.
            .stderr(std::process::Stdio::inherit())
            .output()
            .expect("ip can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "failed in its namespace:\n{text}");
        assert!(text.contains("test result: ok. 1 passed"), "\"{test}\" is not the runner's name of the test:\n{text}");
    }

    fn directory(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that fails leaves daemons behind; only what runs in this namespace is ours.
        if let Ok(processes) = ip(&["netns", "pids", &self.name]) {
            let _ = Command::new("kill").arg("-9").args(processes.split_whitespace()).output();
        }
        let removed = ip(&["netns", "delete", &self.name]).map_err(std::io::Error::other);
        if let Err(error) = removed.and_then(|_| fs::remove_dir_all(self.directory())) {
            let _ = writeln!(std::io::stderr(), "namespace {} stays behind: {error}", self.name);
        }
    }
}

/// Removes the namespaces of test runs that were killed before they could do it themselves.
fn remove_abandoned() {
    for line in ip(&["netns", "list"]).unwrap_or_default().lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let owner = name.strip_prefix("pc-").and_then(|rest| rest.split_once('-'));
        if owner.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists()) {
            drop(Namespace { name: name.to_owned() });
        }
    }
}

/// Runs `ip` and returns what it prints, or what it complains of.
fn ip(arguments: &[&str]) -> Result<String, String> {
    let program = peers::program("ip").ok_or("no program ip")?;
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&stderr).trim()))
}
