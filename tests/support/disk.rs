//! Disks of a test's own, which it may fill up and break: mounted under a temporary directory for as long as it lives.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::peers::{self, Peer};

/// What takes the room of a disk that is full.
const BALLAST: &str = "ballast";

/// A small disk; it is unmounted when dropped, whoever still has a file on it.
pub struct Disk {
    directory: TempDir,
}

impl Disk {
    /// One of so many KiB in memory. Where it cannot be had, that is said aloud for `test`.
    pub fn in_memory(test: &str, kib: u32) -> Option<Self> {
        let size = format!("size={kib}k");
        let disk = Self::mounted(test, &[], |disk| mount(["-t", "tmpfs", "-o", &size, "tmpfs"], &disk.path()))?;
        match disk {
            Ok(disk) => Some(disk),
            Err(error) => {
                peers::skip(test, &format!("a disk of its own ({error})"));
                None
            }
        }
    }

    /// One of 16 MiB with a file system in a file, which the kernel makes read-only when it finds a fault in it. A kernel
    /// without loop devices cannot, and no package brings them: that is said aloud, wherever the test runs.
    pub fn in_file(test: &str) -> Option<Self> {
        let disk = Self::mounted(test, &[Peer::Program("mkfs.ext4")], |disk| {
            let image = disk.image();
            let file = File::create(&image).map_err(|error| error.to_string())?;
            file.set_len(16 << 20).map_err(|error| error.to_string())?;
            run("mkfs.ext4", [OsStr::new("-q"), image.as_os_str()])?;
            disk.mount_image()
        })?;
        disk.inspect_err(|error| super::aloud(&format!("SKIPPED {test}: no disk in a file here: {error}"))).ok()
    }

    fn mounted(
        test: &str,
        needs: &[Peer],
        mount: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Option<Result<Self, String>> {
        if !peers::present(test, &[&[Peer::Root, Peer::Program("mount")], needs].concat()) {
            return None;
        }
        let disk = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(disk.path()).expect("our own directory");
        Some(mount(&disk).map(|()| disk))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.path().join(BALLAST)).expect("our own disk");
        let mut part = vec![1; 1 << 16];
        while !part.is_empty() {
            match ballast.write(&part) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => part.truncate(part.len() / 2),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.path().join(BALLAST)).expect("it was filled");
    }

    /// Makes it read-only, or no longer so, while nobody has a file open for writing.
    pub fn set_read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        mount(["-o", options], &self.path()).expect("nobody writes on it");
    }

    /// Lets the kernel find a fault in the file system of a disk in a file: it is read-only from now on.
    pub fn break_down(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("Linux has it");
        let path = self.path();
        let device = mounts.lines().find_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            (Path::new(rest.split(' ').next()?) == path).then(|| device.trim_start_matches("/dev/"))
        });
        let device = device.expect("it is mounted");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").expect("root may do so");
    }

    /// Mounts a disk in a file anew, as after a reboot.
    pub fn mend(&self) {
        run("umount", [self.path()]).expect("nobody has a file open on it");
        self.mount_image().expect("it was mounted before");
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    fn mount_image(&self) -> Result<(), String> {
        let image = self.image();
        mount([OsStr::new("-o"), OsStr::new("loop,errors=remount-ro"), image.as_os_str()], &self.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.path();
        if let Err(error) = run("umount", [OsStr::new("--lazy"), path.as_os_str()]) {
            super::aloud(&error);
        }
    }
}

fn mount<const N: usize>(arguments: [impl AsRef<OsStr>; N], place: &Path) -> Result<(), String> {
    run("mount", arguments.iter().map(AsRef::as_ref).chain([place.as_os_str()]))
}

/// Runs a program, and returns what it complains of.
fn run(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(), String> {
    let path = peers::program(program).ok_or_else(|| format!("no program {program}"))?;
    let output = Command::new(path).args(arguments).output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", complaint.trim())) }
}
