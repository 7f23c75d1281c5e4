//! Lookup tables in Postfix's formats: keys, networks and patterns, from text files or from the configuration itself.

pub(crate) mod action;
pub(crate) mod braces;
mod cidr;
mod keyed;
mod lines;
pub(crate) mod lookup;
mod patterns;
mod ranges;
mod welcome;

use std::borrow::Cow;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Read as _;
use std::path::PathBuf;

use facts::closest;
use rustc_hash::FxHasher;

use self::lines::Complaints;
use self::patterns::{Syntax, Work};
use self::welcome::{WelcomeList, Whom};

/// The largest table file, in bytes.
const FILE_SIZE_MAX: u64 = 256 << 20;
/// How many complaints about actions are kept of one table; more do not help.
pub(crate) const WARNINGS_MAX: usize = 20;
/// How deep tables may stand in `unionmap:` and `pipemap:` within one another.
const NESTING_MAX: usize = 10;
/// The longest value that is put together: by `unionmap:`, or with what patterns matched, in bytes.
const VALUE_SIZE_MAX: usize = 64 << 10;

/// What a table says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The right-hand side.
    pub value: Cow<'a, str>,
    /// Where it stands in its file, from 1; 0 where there is no file.
    pub line: usize,
}

/// Why a table cannot say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// `fail:`
    #[error("a table of type fail has no answers")]
    Fail,
    /// The patterns up to this line took all the steps that one lookup may take.
    #[error("line {0}: the patterns up to here take too long for this key")]
    Work(usize),
    /// `$1` at this line cut a sign in two.
    #[error("line {0}: the answer is not valid UTF-8")]
    NotText(usize),
    /// What several tables say, or what patterns matched, is too long together.
    #[error("the answer is longer than {} KiB", VALUE_SIZE_MAX >> 10)]
    Size,
}

/// A table, as `type:name` names it.
#[derive(Debug)]
pub struct Table {
    /// As configured: `hash:/etc/postfix/helo_access`.
    pub name: Box<str>,
    rows: Rows,
    warnings: Vec<String>,
    sources: Vec<PathBuf>,
}

#[derive(Debug)]
enum Rows {
    Keyed(keyed::Rows),
    Networks(cidr::Networks),
    Patterns(patterns::Rules),
    /// `whitelist_clients:` and `whitelist_recipients:` of greylisting.
    Welcome(WelcomeList),
    /// `static:` says the same of every key.
    Static(Box<str>),
    /// `randmap:` says one of these.
    Random(Vec<Box<str>>),
    /// `unionmap:` says what all tables say, with commas between.
    Union(Vec<Table>),
    /// `pipemap:` asks each table for what the one before it said.
    Pipe(Vec<Table>),
    /// `fail:`
    Fail,
}

/// What a text source was turned into, and what is wrong with single rows of it.
struct Parsed<T> {
    rows: T,
    complaints: Complaints,
}

/// Every type of table; the first six are read from their text source, without postmap(1).
const TYPES: [&str; 15] = [
    "hash", "btree", "lmdb", "dbm", "cdb", "texthash", "cidr", "regexp", "pcre", "inline", "static", "unionmap",
    "pipemap", "randmap", "fail",
];

/// The lists of greylisting: files of their own format, read and watched like tables.
pub(crate) const WELCOME_TYPES: [&str; 2] = ["whitelist_clients", "whitelist_recipients"];

impl Table {
    /// Reads the table that `name` (`type:rest`) names, and those that it names. Rows with mistakes are left out and
    /// complained about, as postmap(1) does.
    ///
    /// # Errors
    /// A sentence that names the table: unknown type, or a file that cannot be read.
    pub fn open(name: &str) -> Result<Self, String> {
        Self::open_inside(name, 0)
    }

    /// The table `name` (`type:path`) out of the text that its file would hold.
    ///
    /// # Errors
    /// A sentence that names the table: it is of no type that has a file, or too large.
    pub fn of_text(name: &str, text: &[u8]) -> Result<Self, String> {
        let (kind, path) = parted(name)?;
        let too_large = |error| format!("{name}: {error}");
        let (rows, complaints) = match kind {
            "hash" | "btree" | "lmdb" | "dbm" | "cdb" | "texthash" => keyed::parse(text).into(Rows::Keyed),
            "cidr" => cidr::parse(text).into(Rows::Networks),
            "regexp" => patterns::parse(Syntax::Regexp, text).map_err(too_large)?.into(Rows::Patterns),
            "pcre" => patterns::parse(Syntax::Pcre, text).map_err(too_large)?.into(Rows::Patterns),
            "whitelist_clients" => welcome::parse(Whom::Clients, text).map_err(too_large)?.into(Rows::Welcome),
            "whitelist_recipients" => welcome::parse(Whom::Recipients, text).map_err(too_large)?.into(Rows::Welcome),
            _ => return Err(unknown_type(name, kind)),
        };
        Ok(Self { name: name.into(), rows, warnings: complaints.of(name), sources: vec![path.into()] })
    }

    fn open_inside(name: &str, depth: usize) -> Result<Self, String> {
        let (kind, rest) = parted(name)?;
        let shape = |example: &str| format!("{name}: write {kind}:{example}");
        let rows = match kind {
            "inline" => Rows::Keyed(keyed::inline(rest).map_err(|error| format!("{name}: {error}"))?),
            "static" if !rest.starts_with('{') => Rows::Static(rest.into()),
            "static" => Rows::Static(braces::inside(rest).ok_or_else(|| shape("{text}"))?.trim().into()),
            "randmap" => Rows::Random(values(rest).ok_or_else(|| shape("{text, text}"))?),
            "fail" => Rows::Fail,
            "unionmap" | "pipemap" if depth == NESTING_MAX => {
                return Err(format!("{name}: more than {NESTING_MAX} tables within one another"));
            }
            "unionmap" | "pipemap" => {
                let names = braces::inside(rest).ok_or_else(|| shape("{type:name, type:name}"))?;
                let tables: Vec<Self> =
                    braces::words(names).map(|name| Self::open_inside(name, depth + 1)).collect::<Result<_, _>>()?;
                if tables.is_empty() {
                    return Err(shape("{type:name, type:name}"));
                }
                return Ok(Self::of_tables(name, tables, if kind == "unionmap" { Rows::Union } else { Rows::Pipe }));
            }
            _ if TYPES.contains(&kind) || WELCOME_TYPES.contains(&kind) => {
                return Self::of_text(name, &read(name, rest)?);
            }
            _ => return Err(unknown_type(name, kind)),
        };
        Ok(Self { name: name.into(), rows, warnings: Vec::new(), sources: Vec::new() })
    }

    fn of_tables(name: &str, tables: Vec<Self>, rows: fn(Vec<Self>) -> Rows) -> Self {
        let warnings = tables.iter().flat_map(|table| &table.warnings).cloned().collect();
        let sources = tables.iter().flat_map(|table| &table.sources).cloned().collect();
        Self { name: name.into(), rows: rows(tables), warnings, sources }
    }

    /// What the table says of a whole key. Keys are folded to lower case where Postfix folds them.
    ///
    /// # Errors
    /// The table cannot say anything: Postfix answers 451 4.3.5.
    pub fn find(&self, key: &str) -> Result<Option<Found<'_>>, Unavailable> {
        self.find_within(key, &Work::new())
    }

    /// What is wrong with single rows of its files.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().cloned()
    }

    /// The files it was read from, those of tables inside of it included.
    #[must_use]
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// Every right-hand side that may be an answer, with its table and its line.
    pub(crate) fn values(&self) -> Vec<(&str, usize, &str)> {
        let own: Vec<(usize, &str)> = match &self.rows {
            Rows::Keyed(rows) => rows.values().map(|row| (row.line, &*row.value)).collect(),
            Rows::Networks(networks) => networks.rows().map(|row| (row.line, &*row.value)).collect(),
            Rows::Patterns(rules) => rules.values().collect(),
            Rows::Welcome(_) => Vec::new(),
            Rows::Static(value) => vec![(0, value)],
            Rows::Random(values) => values.iter().map(|value| (0, &**value)).collect(),
            Rows::Union(tables) => return tables.iter().flat_map(Self::values).collect(),
            Rows::Pipe(tables) => return tables.last().map(Self::values).unwrap_or_default(),
            Rows::Fail => Vec::new(),
        };
        own.into_iter().map(|(line, value)| (&*self.name, line, value)).collect()
    }

    fn find_within(&self, key: &str, work: &Work) -> Result<Option<Found<'_>>, Unavailable> {
        match &self.rows {
            Rows::Keyed(rows) => Ok(rows.get(key).map(keyed::Row::found)),
            Rows::Networks(networks) => Ok(key.parse().ok().and_then(|address| networks.find(address))),
            Rows::Patterns(rules) => rules.find(key, work),
            Rows::Welcome(list) => list.find(key, work),
            Rows::Static(value) => Ok(Some(Found { value: (&**value).into(), line: 0 })),
            Rows::Random(values) => Ok(pick(values, key).map(|value| Found { value: value.into(), line: 0 })),
            Rows::Union(tables) => find_in_all(tables, &self.folded(key), work),
            Rows::Pipe(tables) => find_through(tables, &self.folded(key), work),
            Rows::Fail => Err(Unavailable::Fail),
        }
    }

    fn folded<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.is_of_patterns() { key.into() } else { lower_case(key) }
    }

    /// Whether keys reach it as they are, and whole. Of tables inside of a table the first decides.
    fn is_of_patterns(&self) -> bool {
        match &self.rows {
            Rows::Networks(_) | Rows::Patterns(_) | Rows::Welcome(_) | Rows::Random(_) | Rows::Fail => true,
            Rows::Keyed(_) | Rows::Static(_) => false,
            Rows::Union(tables) | Rows::Pipe(tables) => tables.first().is_some_and(Self::is_of_patterns),
        }
    }
}

impl<T> Parsed<T> {
    fn into(self, rows: impl FnOnce(T) -> Rows) -> (Rows, Complaints) {
        (rows(self.rows), self.complaints)
    }
}

/// What all tables say, with commas between; the line is that of the first.
fn find_in_all<'a>(tables: &'a [Table], key: &str, work: &Work) -> Result<Option<Found<'a>>, Unavailable> {
    let mut all: Option<Found<'_>> = None;
    for table in tables {
        let Some(found) = table.find_within(key, work)? else { continue };
        match &mut all {
            None => all = Some(found),
            Some(all) if all.value.len() + found.value.len() >= VALUE_SIZE_MAX => return Err(Unavailable::Size),
            Some(all) if all.value.is_empty() => all.value = found.value,
            Some(all) => all.value.to_mut().extend([",", &*found.value]),
        }
    }
    Ok(all.filter(|all| !all.value.is_empty()))
}

/// What the last table says of what the one before it said, and so on; the line is that of the last.
fn find_through<'a>(tables: &'a [Table], key: &str, work: &Work) -> Result<Option<Found<'a>>, Unavailable> {
    let mut found = Found { value: key.to_owned().into(), line: 0 };
    for table in tables {
        match table.find_within(&found.value, work)? {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// One of `values`, the same for the same key each time: what was decided can be decided again.
fn pick<'a>(values: &'a [Box<str>], key: &str) -> Option<&'a str> {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    let index = hasher.finish().checked_rem(values.len() as u64)?;
    values.get(usize::try_from(index).ok()?).map(|value| &**value)
}

/// As Postfix folds keys; most are in lower case already.
pub(crate) fn lower_case(text: &str) -> Cow<'_, str> {
    let is_lower_case = text.bytes().all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase());
    if is_lower_case { text.into() } else { text.to_lowercase().into() }
}

fn parted(name: &str) -> Result<(&str, &str), String> {
    name.split_once(':')
        .ok_or_else(|| format!("\"{name}\" is no table: write type:name, like hash:/etc/postfix/access"))
}

/// The values of a `randmap:`.
fn values(text: &str) -> Option<Vec<Box<str>>> {
    let values: Vec<_> = braces::words(braces::inside(text)?).map(Box::from).collect();
    (!values.is_empty()).then_some(values)
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
        _ => match closest(kind, TYPES) {
            Some(meant) => format!("{name}: unknown table type \"{kind}\": did you mean \"{meant}\"?"),
            None => format!("{name}: unknown table type \"{kind}\": there are {}", TYPES.join(", ")),
        },
    }
}

#[cfg(test)]
mod tests;
