//! The directories that are ours, and store and journal in one of them.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::Store;
use store::journal::{self, Journal};

/// Where what must survive lies: `$STATE_DIRECTORY`, which systemd sets, else `$XDG_STATE_HOME/portcullis`, else
/// `~/.local/state/portcullis`.
#[must_use]
pub fn directory() -> PathBuf {
    let home = || named("HOME").unwrap_or_else(|| "/var/lib".into()).join(".local/state");
    first_named("STATE_DIRECTORY").unwrap_or_else(|| named("XDG_STATE_HOME").unwrap_or_else(home).join("portcullis"))
}

/// Where the state of a system's service lies, whose environment the administrator's shell does not have.
const OF_SERVICE: &str = "/var/lib/portcullis";

/// Where a journal may lie, the likeliest first.
#[must_use]
pub fn journals() -> Vec<PathBuf> {
    let of_service = (!is_service()).then(|| PathBuf::from(OF_SERVICE));
    std::iter::once(directory()).chain(of_service).map(|state| journal::directory(&state)).collect()
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
            tracing::error!("{error}: what greylisting learns is lost at the next stop");
            Store::in_memory()
        }
    }
}

fn open(config: &store::Config, directory: &Path) -> anyhow::Result<Store> {
    let made = make(directory);
    // Where Valkey remembers, it is only for the control socket, which says itself what is wrong.
    if config.is_embedded() {
        made?;
    }
    Ok(Store::open(config, directory)?)
}

/// The journal in `directory`, which is made if it is missing; nothing where nobody wants one. Where it cannot be opened,
/// mail goes on without.
#[must_use]
pub fn journal(config: &journal::Config, directory: &Path) -> Option<Arc<Journal>> {
    if !config.enabled {
        tracing::info!("no journal is kept: journal.enabled is false");
        return None;
    }
    match make(directory).and_then(|()| Ok(Journal::open(config, directory)?)) {
        Ok(journal) => {
            tracing::info!("the journal is in {}", journal.directory().display());
            Some(Arc::new(journal))
        }
        Err(error) => {
            tracing::error!("{error}: no journal is kept until the next start");
            None
        }
    }
}

fn make(directory: &Path) -> anyhow::Result<()> {
    let in_directory = |error| anyhow::anyhow!("{}: {error}", directory.display());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(in_directory)
}
