//! Tables with a key in each row: `hash:` and its kin from their text source, and `inline:`.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::{Parsed, Row, lines};

/// Rows by their key, in lower case (Postfix folds the keys of such tables).
pub(super) type Rows = FxHashMap<Box<str>, Row>;

/// Parses the text source of postmap(1): `key whitespace value`. Of rows with the same key the first counts.
pub(super) fn parse(text: &[u8]) -> Parsed<Rows> {
    let mut rows = Rows::default();
    let mut complaints = Vec::new();
    for (line, logical) in lines::logical(text) {
        let parsed = logical.and_then(|logical| split(&logical));
        if let Err(complaint) = parsed.and_then(|(key, value)| insert(&mut rows, &key, &value, line)) {
            complaints.push((line, complaint));
        }
    }
    Parsed { rows, complaints }
}

fn insert(rows: &mut Rows, key: &str, value: &str, line: usize) -> Result<(), String> {
    match rows.entry(key.to_lowercase().into()) {
        Entry::Occupied(first) => Err(format!("\"{key}\" stands in line {} already: row ignored", first.get().line)),
        Entry::Vacant(place) => {
            place.insert(Row { value: value.into(), line });
            Ok(())
        }
    }
}

/// At the first white space outside of quotes: a quoted local part may hold some.
fn split(line: &str) -> Result<(String, String), String> {
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
    Ok((key.to_owned(), value.to_owned()))
}

/// Parses what follows `inline:`: `{key=value, {key = value with spaces}}`.
pub(super) fn inline(text: &str) -> Result<Rows, String> {
    let shape = || "write inline:{key=value, {key = value with spaces}}".to_owned();
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(shape)?;
    let mut rows = Rows::default();
    for pair in pairs(inside) {
        let (key, value) = pair.split_once('=').ok_or_else(shape)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(shape());
        }
        rows.insert(key.to_lowercase().into(), Row { value: value.into(), line: 0 });
    }
    if rows.is_empty() { Err(shape()) } else { Ok(rows) }
}

/// At commas and white space outside of braces; outer braces of a pair taken off.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c: char| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && (c == ',' || c.is_ascii_whitespace())
    })
    .map(|pair| pair.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(pair).trim())
    .filter(|pair| !pair.is_empty())
}
