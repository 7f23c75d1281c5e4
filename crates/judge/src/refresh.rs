//! Tables whose files have changed, read anew while everything else stays.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::parse::Tables;
use crate::settings::{Mistake, Settings};
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
        let settings = Self::compile_with(config, known.clone())?;
        let complaints = settings.complaints_beyond(self);
        if complaints.is_empty() {
            return Ok(Refreshed { settings, taken, refused });
        }
        taken.retain(|name| !self.put_back(name, &mut known, &complaints));
        refused.extend(complaints);
        Ok(Refreshed { settings: Self::compile_with(config, known)?, taken, refused })
    }

    fn complaints_beyond(&self, before: &Self) -> Vec<String> {
        let is_known = |message: &str| before.warnings().iter().any(|warning| warning.message == message);
        self.warnings().iter().map(|warning| &warning.message).filter(|message| !is_known(message)).cloned().collect()
    }

    /// Puts the table back that is in use here, if one of `complaints` is about a file of its.
    fn put_back(&self, name: &str, known: &mut Tables, complaints: &[String]) -> bool {
        let Some(table) = self.tables.get(name) else { return false };
        let is_about = |file: &PathBuf| complaints.iter().any(|complaint| complaint.contains(&*file.to_string_lossy()));
        let is_to_blame = table.sources().iter().any(is_about);
        if is_to_blame {
            known.insert(name.to_owned(), Arc::clone(table));
        }
        is_to_blame
    }
}
