//! Lookup tables in Postfix's formats: keys and networks, from text files or from the configuration itself.

pub(crate) mod action;
mod cidr;
mod keyed;
mod lines;

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

use facts::closest;

/// The largest table file, in bytes.
const FILE_SIZE_MAX: u64 = 256 << 20;
/// How many complaints about rows are kept of one table; more do not help.
pub(crate) const WARNINGS_MAX: usize = 20;

/// One row that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The right-hand side.
    pub value: Box<str>,
    /// Where it stands in the file, from 1; 0 where there is no file.
    pub line: usize,
}

/// A table, as `type:name` names it.
#[derive(Debug)]
pub struct Table {
    /// As configured: `hash:/etc/postfix/helo_access`.
    pub name: Box<str>,
    rows: Rows,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Rows {
    Keyed(keyed::Rows),
    Networks(cidr::Rules),
}

/// What a text source was turned into, and what is wrong with single rows of it.
struct Parsed<T> {
    rows: T,
    /// Line and complaint.
    complaints: Vec<(usize, String)>,
}

/// The types that are read from their text source, without postmap(1).
const TEXT_TYPES: [&str; 6] = ["hash", "btree", "lmdb", "dbm", "cdb", "texthash"];
const TYPES: [&str; 8] = ["hash", "btree", "lmdb", "dbm", "cdb", "texthash", "cidr", "inline"];

impl Table {
    /// Reads the table that `name` (`type:rest`) names. Rows with mistakes are left out and complained about, as
    /// postmap(1) does.
    ///
    /// # Errors
    /// A sentence that names the table: unknown type, or a file that cannot be read.
    pub fn open(name: &str) -> Result<Self, String> {
        let (kind, rest) = name
            .split_once(':')
            .ok_or_else(|| format!("\"{name}\" is no table: write type:name, like hash:/etc/postfix/access"))?;
        if kind == "inline" {
            let rows = keyed::inline(rest).map_err(|error| format!("{name}: {error}"))?;
            return Ok(Self { name: name.into(), rows: Rows::Keyed(rows), warnings: Vec::new() });
        }
        let parse = parser(kind).ok_or_else(|| unknown_type(name, kind))?;
        Ok(parse(name, &read(name, rest)?))
    }

    /// The table `name` out of a text source of the form that postmap(1) reads.
    #[must_use]
    pub fn of_keys(name: &str, source: &[u8]) -> Self {
        let Parsed { rows, complaints } = keyed::parse(source);
        Self { name: name.into(), rows: Rows::Keyed(rows), warnings: warnings(name, complaints) }
    }

    /// The table `name` out of the lines of a cidr_table(5).
    #[must_use]
    pub fn of_networks(name: &str, source: &[u8]) -> Self {
        let Parsed { rows, complaints } = cidr::parse(source);
        Self { name: name.into(), rows: Rows::Networks(rows), warnings: warnings(name, complaints) }
    }

    /// What is wrong with single rows.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().cloned()
    }

    /// Every row, in no order.
    pub fn rows(&self) -> Box<dyn Iterator<Item = &Row> + '_> {
        match &self.rows {
            Rows::Keyed(rows) => Box::new(rows.values()),
            Rows::Networks(rules) => Box::new(rules.rows()),
        }
    }

    /// The row of a whole key, in lower case. A table of networks is searched by address.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Row> {
        match &self.rows {
            Rows::Keyed(rows) => rows.get(key),
            Rows::Networks(rules) => rules.find(key.parse::<IpAddr>().ok()?),
        }
    }

    /// The row of a part of a key (a parent domain, `user@`), in lower case. Tables of patterns are never asked
    /// for parts.
    #[must_use]
    pub fn find_part(&self, key: &str) -> Option<&Row> {
        match &self.rows {
            Rows::Keyed(rows) => rows.get(key),
            Rows::Networks(_) => None,
        }
    }
}

/// How tables of type `kind` are read.
fn parser(kind: &str) -> Option<fn(&str, &[u8]) -> Table> {
    match kind {
        "cidr" => Some(Table::of_networks),
        _ => TEXT_TYPES.contains(&kind).then_some(Table::of_keys),
    }
}

fn warnings(name: &str, complaints: Vec<(usize, String)>) -> Vec<String> {
    complaints.into_iter().take(WARNINGS_MAX).map(|(line, text)| format!("{name}, line {line}: {text}")).collect()
}

fn read(name: &str, path: &str) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{name}: cannot read {path}: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_SIZE_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_SIZE_MAX {
        return Err(format!("{name}: {path} is larger than {} MiB", FILE_SIZE_MAX >> 20));
    }
    Ok(text)
}

fn unknown_type(name: &str, kind: &str) -> String {
    match kind {
        "mysql" | "pgsql" | "ldap" | "sqlite" | "proxy" | "socketmap" | "tcp" | "memcache" => {
            format!("{name}: tables of type {kind} are not read: export it to a text file and write hash:/path")
        }
        "regexp" | "pcre" | "static" | "unionmap" | "pipemap" | "fail" | "randmap" => {
            format!("{name}: tables of type {kind} are not built yet: use hash, cidr or inline")
        }
        _ => match closest(kind, TYPES) {
            Some(meant) => format!("{name}: unknown table type \"{kind}\": did you mean \"{meant}\"?"),
            None => format!("{name}: unknown table type \"{kind}\": there are {}", TYPES.join(", ")),
        },
    }
}

#[cfg(test)]
mod tests;
