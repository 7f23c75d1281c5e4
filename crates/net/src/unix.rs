//! Unix-domain sockets: who may connect, and what becomes of the file.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use facts::Endpoint;
use nix::unistd::{Group, User};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::listen::{Action, BACKLOG, Error, Listen, ListeningSocket};

/// The file of a socket that we made; removed on drop, unless the name is somebody else's by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // A file that stays behind is found stale and replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on the socket `path`. Its owner and mode are set before anybody can connect.
pub(crate) async fn bind(listen: &Listen, path: &Path) -> Result<ListeningSocket, Error> {
    let endpoint = &listen.endpoint;
    let (owner, group) = (owner_number(listen)?, group_number(listen)?);
    check_directory(endpoint, path)?;
    remove_stale(endpoint, path).await?;
    let failed = |action| move |error| Error::new(endpoint, action, error);
    let socket = new_socket(path).map_err(failed(Action::Listen))?;
    let file = SocketFile::new(path).map_err(failed(Action::Listen))?;
    if owner.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, owner, group).map_err(failed(Action::SetOwner))?;
    }
    if let Some(mode) = listen.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed(Action::SetMode))?;
    }
    // Only now does the kernel let anybody in, so a mode that the umask made too wide for a moment does no harm.
    socket.listen(BACKLOG).map_err(failed(Action::Listen))?;
    let listener = UnixListener::from_std(socket.into()).map_err(failed(Action::Listen))?;
    Ok(ListeningSocket::Unix(listener, file))
}

fn new_socket(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

fn check_directory(endpoint: &Endpoint, path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(directory) if !directory.is_dir() => {
            Err(Error::DirectoryMissing { endpoint: endpoint.clone(), directory: directory.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Removes a socket that a dead process left behind, and nothing else.
async fn remove_stale(endpoint: &Endpoint, path: &Path) -> Result<(), Error> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotASocket { endpoint: endpoint.clone() });
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| Error::new(endpoint, Action::ReplaceStale, error))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::new(endpoint, Action::ReplaceStale, error))
        }
        // Somebody answers, or is too busy to.
        _ => Err(Error::InUse { endpoint: endpoint.clone() }),
    }
}

fn owner_number(listen: &Listen) -> Result<Option<u32>, Error> {
    let by_name = |name: &str| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()));
    number(listen, "user", listen.owner.as_deref(), by_name)
}

fn group_number(listen: &Listen) -> Result<Option<u32>, Error> {
    let by_name = |name: &str| Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
    number(listen, "group", listen.group.as_deref(), by_name)
}

fn number(
    listen: &Listen,
    kind: &'static str,
    name: Option<&str>,
    by_name: impl Fn(&str) -> nix::Result<Option<u32>>,
) -> Result<Option<u32>, Error> {
    let Some(name) = name else {
        return Ok(None);
    };
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match by_name(name) {
        Ok(Some(number)) => Ok(Some(number)),
        _ => Err(Error::UnknownOwner { endpoint: listen.endpoint.clone(), kind, name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    fn listen(path: &Path) -> Listen {
        Listen { endpoint: Endpoint::Unix(path.to_owned()), mode: None, owner: None, group: None }
    }

    async fn error(listen: &Listen) -> String {
        bind(listen).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn mode_and_owner_are_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy");
        let own = fs::metadata(directory.path()).unwrap();
        let (owner, group) = (Some(own.uid().to_string()), Some(own.gid().to_string()));
        let listener = bind(&Listen { mode: Some(0o640), owner, group, ..listen(&path) }).await.unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o640, own.uid(), own.gid()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        bind(&listen(&path)).await.unwrap();
    }

    #[tokio::test]
    async fn a_live_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy");
        let _live = bind(&listen(&path)).await.unwrap();
        assert!(error(&listen(&path)).await.contains("in use"));
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_name_taken_over_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy");
        let listener = bind(&listen(&path)).await.unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(listener);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_is_wrong_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(error(&listen(&file)).await.contains("no socket"));
        assert_eq!(fs::read(&file).unwrap(), b"");

        let missing = directory.path().join("missing/policy");
        let expected = format!("the directory {} does not exist", missing.parent().unwrap().display());
        assert!(error(&listen(&missing)).await.ends_with(&expected));

        let path = directory.path().join("policy");
        let nobody = Some("no-such-name".to_owned());
        assert!(error(&Listen { owner: nobody.clone(), ..listen(&path) }).await.ends_with("no user \"no-such-name\""));
        assert!(error(&Listen { group: nobody, ..listen(&path) }).await.ends_with("no group \"no-such-name\""));
        let too_long = directory.path().join("x".repeat(200));
        assert!(error(&listen(&too_long)).await.contains("cannot listen"));
    }
}
