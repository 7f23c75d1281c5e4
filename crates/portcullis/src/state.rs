//! The directory for what must survive, and the store in it.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use store::Store;

/// Where what must survive lies: `$STATE_DIRECTORY`, which systemd sets, else `$XDG_STATE_HOME/portcullis`, else
/// `~/.local/state/portcullis`.
#[must_use]
pub fn directory() -> PathBuf {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Of several directories systemd names the first one first.
    let first = |paths: PathBuf| env::split_paths(&paths).next();
    let home = || named("HOME").unwrap_or_else(|| "/var/lib".into()).join(".local/state");
    named("STATE_DIRECTORY")
        .and_then(first)
        .unwrap_or_else(|| named("XDG_STATE_HOME").unwrap_or_else(home).join("portcullis"))
}

/// The store in `directory`, which is made if it is missing. Where it cannot be opened, one that remembers until the
/// program stops: mail goes on.
#[must_use]
pub fn store(config: &store::Config, directory: &Path) -> Store {
    match open(config, directory) {
        Ok(store) => store,
        Err(error) => {
            tracing::error!("{error:#}: what greylisting learns is lost at the next stop");
            Store::in_memory()
        }
    }
}

fn open(config: &store::Config, directory: &Path) -> anyhow::Result<Store> {
    let in_directory = |error| anyhow::anyhow!("{}: {error}", directory.display());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(in_directory)?;
    Ok(Store::open(config, directory)?)
}
