//! Tables with a key in each row: `hash:` and its kin from their text source, and `inline:`.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::lines::{self, Complaints};
use super::{Found, Parsed, braces, lower_case};

/// The right-hand side of a row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Shared by all rows that say the same.
    pub value: Arc<str>,
    /// From 1; 0 where there is no file.
    pub line: usize,
}

impl Row {
    pub(super) fn found(&self) -> Found<'_> {
        Found { value: (&*self.value).into(), line: self.line }
    }
}

/// Rows by their key, in lower case (Postfix folds the keys of such tables).
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: FxHashMap<Box<str>, Row>,
    /// The lengths that keys have. Of what is looked up, parents of names and of addresses above all, much has another
    /// length than all keys, and is not even hashed.
    lengths: u64,
}

impl Rows {
    /// The row of `key`, in whichever case.
    pub(super) fn get(&self, key: &str) -> Option<&Row> {
        // Beyond ASCII a sign may be longer in another case.
        if self.lengths & length(key) == 0 && key.is_ascii() {
            return None;
        }
        self.rows.get(&*lower_case(key))
    }

    /// All rows, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The place of `key`, which is put into lower case.
    pub(super) fn entry(&mut self, key: &str) -> Entry<'_, Box<str>, Row> {
        let key = lower_case(key);
        self.lengths |= length(&key);
        self.rows.entry(key.into())
    }
}

/// The bit for this length; for all long ones the last.
fn length(key: &str) -> u64 {
    1 << key.len().min(63)
}

/// The right-hand sides of a table: a million rows have seldom more than a few of them.
#[derive(Debug, Default)]
pub(super) struct Values(FxHashSet<Arc<str>>);

impl Values {
    pub(super) fn share(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.0.get(value) {
            return Arc::clone(known);
        }
        let value: Arc<str> = value.into();
        self.0.insert(Arc::clone(&value));
        value
    }
}

/// Parses the text source of postmap(1): `key whitespace value`. Of rows with the same key the first counts.
pub(super) fn parse(text: &[u8]) -> Parsed<Rows> {
    let mut rows = Rows::default();
    let mut values = Values::default();
    let mut complaints = Complaints::default();
    for (line, logical) in lines::logical(text) {
        let row = logical.and_then(|logical| {
            let (key, value) = split(&logical)?;
            if key.ends_with(':') {
                complaints.add(line, format!("\"{key}\" ends in a colon: is this an alias file?"));
            }
            insert(&mut rows, key, Row { value: values.share(value), line })
        });
        if let Err(complaint) = row {
            complaints.add(line, complaint);
        }
    }
    Parsed { rows, complaints }
}

fn insert(rows: &mut Rows, key: &str, row: Row) -> Result<(), String> {
    match rows.entry(key) {
        Entry::Occupied(first) => Err(format!("\"{key}\" stands in line {} already: row ignored", first.get().line)),
        Entry::Vacant(place) => {
            place.insert(row);
            Ok(())
        }
    }
}

/// At the first white space outside of quotes: a quoted local part may hold some.
fn split(line: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    let end = line.find(|c: char| {
        let plain = !escaped;
        escaped = plain && c == '\\';
        quoted ^= plain && c == '"';
        plain && !quoted && c.is_ascii_whitespace()
    });
    if quoted {
        return Err("a quote is not closed: row ignored".into());
    }
    let (key, value) = line.split_at(end.unwrap_or(line.len()));
    let value = value.trim();
    if value.is_empty() {
        return Err(format!("\"{key}\" has no value after it: row ignored"));
    }
    Ok((key, value))
}

/// Parses what follows `inline:`: `{key=value, {key = value with spaces}}`. Of pairs with the same key the last
/// counts.
pub(super) fn inline(text: &str) -> Result<Rows, String> {
    let shape = || "write inline:{key=value, {key = value with spaces}}".to_owned();
    let mut rows = Rows::default();
    for pair in braces::words(braces::inside(text).ok_or_else(shape)?) {
        let pair = if pair.starts_with('{') { braces::inside(pair).ok_or_else(shape)? } else { pair };
        let (key, value) = pair.split_once('=').ok_or_else(shape)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(shape());
        }
        rows.entry(key).insert_entry(Row { value: value.into(), line: 0 });
    }
    if rows.rows.is_empty() { Err(shape()) } else { Ok(rows) }
}
