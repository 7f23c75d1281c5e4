//! A search in tables for a key and for parts of it, within one budget.

use std::borrow::Cow;
use std::sync::Arc;

use facts::Evidence;

use super::patterns::Work;
use super::{Found, Table, Unavailable};

/// One search: the tables are asked one after the other for each key anew (Postfix: maps_find). However many keys a
/// stranger's name has, all of them share what one lookup may cost.
#[derive(Debug)]
pub(crate) struct Lookup<'t> {
    tables: &'t [Arc<Table>],
    work: Work,
}

/// A row, and where it was found.
#[derive(Debug)]
pub(crate) struct Row<'t> {
    pub(crate) value: Cow<'t, str>,
    line: usize,
    table: &'t Table,
    key: Box<str>,
}

/// A row; or why a table cannot say anything, which ends the search too.
pub(crate) type Hit<'t> = Result<Row<'t>, String>;

impl<'t> Lookup<'t> {
    pub(crate) fn new(tables: &'t [Arc<Table>]) -> Self {
        Self { tables, work: Work::new() }
    }

    /// The row of a whole key.
    pub(crate) fn find(&self, key: &str) -> Option<Hit<'t>> {
        self.first(key, |table| table.find_within(key, &self.work))
    }

    /// The row of a part of a key (a parent domain, `user@`). Tables of patterns are never asked for parts.
    pub(crate) fn find_part(&self, key: &str) -> Option<Hit<'t>> {
        self.first(key, |table| if table.is_of_patterns() { Ok(None) } else { table.find_within(key, &self.work) })
    }

    fn first(&self, key: &str, find: impl Fn(&'t Table) -> Result<Option<Found<'t>>, Unavailable>) -> Option<Hit<'t>> {
        self.tables.iter().find_map(|table| match find(table) {
            Ok(None) => None,
            Ok(Some(Found { value, line })) => Some(Ok(Row { value, line, table, key: key.into() })),
            Err(unavailable) => Some(Err(format!("{}: {unavailable}", table.name))),
        })
    }
}

impl Row<'_> {
    pub(crate) fn evidence(&self) -> Evidence {
        let Self { value, line, table, key } = self;
        Evidence::Table { table: table.name.clone(), key: key.clone(), value: value.clone().into(), line: *line }
    }
}
