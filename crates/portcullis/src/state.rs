//! The directories that are ours, and the store in one of them.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use store::Store;

/// Where what must survive lies: `$STATE_DIRECTORY`, which systemd sets, else `$XDG_STATE_HOME/portcullis`, else
/// `~/.local/state/portcullis`.
#[must_use]
pub fn directory() -> PathBuf {
    let home = || named("HOME").unwrap_or_else(|| "/var/lib".into()).join(".local/state");
    first_named("STATE_DIRECTORY").unwrap_or_else(|| named("XDG_STATE_HOME").unwrap_or_else(home).join("portcullis"))
}

/// Where what lives as long as the server lies: `$RUNTIME_DIRECTORY`, which systemd sets.
#[must_use]
pub fn runtime_directory() -> Option<PathBuf> {
    first_named("RUNTIME_DIRECTORY")
}

/// Whether systemd, or whoever does as it does, has named directories of ours.
#[must_use]
pub fn is_service() -> bool {
    ["STATE_DIRECTORY", "RUNTIME_DIRECTORY"].into_iter().any(|name| named(name).is_some())
}

fn named(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Of several directories systemd names the first one first.
fn first_named(name: &str) -> Option<PathBuf> {
    env::split_paths(&named(name)?).next()
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
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    // Where Valkey remembers, it is only for the control socket, which says itself what is wrong.
    if config.is_embedded() {
        made.map_err(in_directory)?;
    }
    Ok(Store::open(config, directory)?)
}
