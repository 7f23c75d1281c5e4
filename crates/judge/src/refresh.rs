//! Tables whose files have changed, read anew while everything else stays.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::place::Mistake;
use crate::settings::Settings;
use crate::tables::Table;

/// Settings with tables that were read anew.
#[derive(Debug)]
pub struct Refreshed {
    /// The settings.
    pub settings: Settings,
    /// The tables that were taken on, by their names.
    pub taken: Vec<String>,
    /// Why tables stay as they were: a sentence for each mistake, with file and line.
    pub refused: Vec<String>,
}

impl Settings {
    /// The files of all tables.
    pub fn table_files(&self) -> impl Iterator<Item = &Path> {
        self.tables.values().flat_map(|table| table.sources()).map(PathBuf::as_path)
    }

    /// These settings, compiled from `config`, with the tables of `changed` files read anew. A table that cannot be read
    /// any more, or in which something is wrong that was not before, stays as it was.
    ///
    /// # Errors
    /// Mistakes that no single table is to blame for; then everything should stay.
    pub fn refreshed(&self, config: &Config, changed: &HashSet<PathBuf>) -> Result<Refreshed, Vec<Mistake>> {
        let is_changed = |table: &Table| table.sources().iter().any(|file| changed.contains(file));
        let mut known = self.tables.clone();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (name, _) in self.tables.iter().filter(|(_, table)| is_changed(table)) {
            match Table::open(name) {
                Ok(table) => {
                    known.insert(name.clone(), Arc::new(table));
                    taken.push(name.clone());
                }
                Err(message) => refused.push(message),
            }
        }
        taken.sort();
        let compiled =
            |known| Self::compile_with(config, known).map(|settings| settings.with_fingerprint(self.fingerprint));
        let settings = compiled(known.clone())?;
        let (worse, taken): (Vec<_>, Vec<_>) = taken.into_iter().partition(|name| settings.is_worse(self, name));
        if worse.is_empty() {
            return Ok(Refreshed { settings, taken, refused });
        }
        refused.extend(settings.complaints_beyond(self));
        known.extend(worse.into_iter().filter_map(|name| Some((name.clone(), Arc::clone(self.tables.get(&name)?)))));
        Ok(Refreshed { settings: compiled(known)?, taken, refused })
    }

    /// Whether there are more complaints about the files of a table than `before`: their number counts, since a row
    /// that is put in moves the lines of what was wrong already.
    fn is_worse(&self, before: &Self, table: &str) -> bool {
        let files: Vec<_> = self.tables.get(table).into_iter().flat_map(|table| table.sources()).collect();
        let is_about = |warning: &&Mistake| files.iter().any(|file| warning.message.contains(&*file.to_string_lossy()));
        let complaints = |settings: &Self| settings.warnings().iter().filter(is_about).count();
        complaints(self) > complaints(before)
    }

    fn complaints_beyond(&self, before: &Self) -> Vec<String> {
        let is_known = |message: &str| before.warnings().iter().any(|warning| warning.message == message);
        self.warnings().iter().map(|warning| &warning.message).filter(|message| !is_known(message)).cloned().collect()
    }
}
