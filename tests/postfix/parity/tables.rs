//! Access tables for drawn configurations, and the texts of DNS lists.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use super::actions;
use super::kinds::Subject;
use super::patterns::{self, ANYTHING};
use super::session::{Address, Session};
use super::world::{ETRN_DOMAINS, HELO_NAMES, MAIL_DOMAINS, MYNETWORKS, NETWORKS_UNCLEAR};
use super::zone::name_of;
use crate::support::random::Random;
use crate::support::sasl;

const NETWORKS: [&str; 6] = ["10.0.0.0/8", "10.2.0.0/15", "!10.0.0.0/8", "2001:db8::/32", "45.1.0.3", "192.0.2.0/24"];
const CLIENT_KEYS: [&str; 6] = ["good.test", "10.2", "10.3.0.1", "unknown", "2001:db8:1", "sub.good.test"];

/// The table that cannot answer.
pub const FAIL: &str = "fail:drawn";

/// The value of a parameter with which nobody can say anything of strangers.
pub fn failing(parameter: &str) -> String {
    match parameter {
        "mynetworks" => [&MYNETWORKS[..], &NETWORKS_UNCLEAR].concat().join(" "),
        "permit_mx_backup_networks" => NETWORKS_UNCLEAR.join(" "),
        _ => FAIL.to_owned(),
    }
}

/// A table in the making.
#[derive(Clone)]
pub struct Table {
    table_type: &'static str,
    path: PathBuf,
    rows: Vec<(String, String)>,
    /// In which way patterns match their keys.
    way: usize,
    /// Whether a table inside of it cannot answer.
    fails: bool,
}

impl Table {
    /// An empty table of this type; `number` and `index` tell its file from others.
    pub fn new(directory: &Path, number: usize, index: usize, table_type: &'static str) -> Self {
        let path = directory.join(format!("table{number}_{index}"));
        Self { table_type, path, rows: Vec::new(), way: number.wrapping_add(index), fails: false }
    }

    /// A table that permits every client.
    pub fn everyone(directory: &Path, number: usize) -> Self {
        let mut table = Self::new(directory, number, usize::MAX, "cidr");
        table.put("0.0.0.0/0", "OK");
        table.put("::/0", "OK");
        table
    }

    /// A table that holds nobody of this world; of `static:` that says nothing of them.
    pub fn of_others(directory: &Path, number: usize, index: usize, table_type: &'static str) -> Self {
        let mut table = Self::new(directory, number, index, table_type);
        match table_type {
            "cidr" => table.put("192.168.0.0/16", "REJECT"),
            "static" => table.put(ANYTHING, "DUNNO"),
            _ => table.put("nobody.invalid", "REJECT"),
        }
        table
    }

    /// Becomes one that cannot answer for its keys.
    pub fn fail(&mut self) {
        self.fails = true;
    }

    /// Adds a row, unless the table has its key.
    pub fn put(&mut self, key: &str, action: &str) {
        if self.rows.iter().all(|(known, _)| !known.eq_ignore_ascii_case(key)) {
            self.rows.push((key.to_owned(), action.to_owned()));
        }
    }

    /// As a restriction names it.
    pub fn name(&self) -> String {
        match self.table_type {
            "inline" => inline(self.pairs()),
            "static" => format!("static:{{{}}}", self.pairs().last().expect("a table has rows").1),
            "unionmap" => {
                // What both say is joined; restrictions that are joined we do not know.
                let texts = self.pairs().skip(1).filter(|(_, action)| patterns::is_text(action));
                let first = inline(self.pairs().take(1).chain(texts));
                let second = inline(self.pairs());
                format!("unionmap:{{{first}, {}}}", if self.fails { FAIL } else { &second })
            }
            "pipemap" => {
                let numbers: Vec<String> = (0..self.rows.len()).map(|number| format!("row{number}")).collect();
                let first = inline(self.pairs().zip(&numbers).map(|((key, _), number)| (key, number.as_str())));
                let second = inline(self.pairs().zip(&numbers).map(|((_, action), number)| (number.as_str(), action)));
                format!("pipemap:{{{first}, {}}}", if self.fails { FAIL } else { &second })
            }
            "fail" => FAIL.to_owned(),
            _ => format!("{}:{}", self.table_type, self.path.display()),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().map(|(key, action)| (key.as_str(), action.as_str()))
    }

    /// Whether its rows stand in a file.
    pub fn is_file(&self) -> bool {
        !matches!(self.table_type, "inline" | "static" | "unionmap" | "pipemap" | "fail")
    }

    /// The file, if Postfix needs it compiled.
    pub fn to_compile(&self) -> Option<PathBuf> {
        (self.table_type == "hash").then(|| self.path.clone())
    }

    /// Writes the file. A long action goes on in a second line.
    pub fn write(&self) -> std::io::Result<()> {
        let mut text = String::from("# drawn\n\n");
        for (index, (key, action)) in self.pairs().enumerate() {
            let lines = match self.table_type {
                "regexp" | "pcre" => patterns::lines(key, action, self.way.wrapping_add(index)),
                _ => vec![(key.to_owned(), action.to_owned())],
            };
            for (key, action) in lines {
                let _ = match action.match_indices(' ').nth(1) {
                    Some((second, _)) => {
                        writeln!(text, "{key}\t{}\n # aside\n  {}", &action[..second], &action[second..])
                    }
                    None => writeln!(text, "{key}\t{action}"),
                };
            }
        }
        std::fs::write(&self.path, text)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name())?;
        self.rows.iter().try_for_each(|(key, action)| write!(f, " {key} -> {action};"))
    }
}

/// A table that stands in the list itself.
fn inline<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows: Vec<String> = rows.map(|(key, action)| format!("{{{key} = {action}}}")).collect();
    format!("inline:{{{}}}", rows.join(", "))
}

/// Adds some rows about anything that `subject` may be.
pub fn fill(table: &mut Table, subject: Subject, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let key = match (table.table_type, subject) {
            ("cidr", _) => random.pick(&NETWORKS).to_owned(),
            (_, Subject::Client) => random.pick(&CLIENT_KEYS).to_owned(),
            (_, Subject::Login) => sasl::USER.to_owned(),
            (_, Subject::Etrn) => random.pick(&ETRN_DOMAINS).to_lowercase(),
            (_, Subject::Helo) => HELO_NAMES.any(random).to_lowercase(),
            _ => {
                let domain = MAIL_DOMAINS.any(random).to_lowercase();
                match random.below(5) {
                    0 => "user@".to_owned(),
                    1 => format!("user@{domain}"),
                    2 => random.pick(&["<>", "nobody"]).to_owned(),
                    3 => format!(".{domain}"),
                    _ => domain,
                }
            }
        };
        // Braces part rows, and "=" a row, in a table that stands in the list itself; a comment starts with "#".
        if is_plain(&key) {
            table.put(&spelt(key, random), actions::any(random).text);
        }
    }
}

/// How tables are asked under the parameters of a configuration.
#[derive(Clone, Copy)]
pub struct Spelling<'a> {
    /// What stands before the name of a parent domain.
    pub dot: &'a str,
    /// Postfix: `recipient_delimiter`.
    pub delimiters: &'a str,
    /// Postfix: `smtpd_null_access_lookup_key`.
    pub null_sender: &'a str,
}

/// The keys under which a table of this type holds what `subject` is in this session; at least one.
pub fn keys(subject: Subject, table_type: &str, session: &Session, spelling: Spelling<'_>) -> Vec<String> {
    let mut keys = match subject {
        Subject::Client => client_keys(table_type, session, spelling),
        Subject::Helo => domain_keys(session.helo.as_deref().unwrap_or_default(), spelling),
        Subject::Sender => address_keys(&session.sender, spelling),
        Subject::Login => vec![sasl::USER.to_owned()],
        Subject::Encryption => {
            session.certificate().map_or(Vec::new(), |it| vec![it.fingerprint.clone(), it.pubkey_fingerprint.clone()])
        }
        Subject::Etrn => domain_keys(session.etrn_domain(), spelling),
        _ => address_keys(&session.recipient, spelling),
    };
    if is_of_patterns(table_type) {
        keys.truncate(1);
    }
    keys.retain(|key| is_plain(key));
    if !is_of_patterns(table_type) && matches!(subject, Subject::Login | Subject::Encryption | Subject::Etrn) {
        return keys;
    }
    let everything = match table_type {
        "cidr" if session.client.is_ipv4() => "0.0.0.0/0",
        "cidr" => "::/0",
        _ if is_of_patterns(table_type) => ANYTHING,
        _ => &format!("{}test", spelling.dot),
    };
    keys.push(everything.to_owned());
    keys
}

/// Whether a table of this type is asked for nothing but the whole of a thing.
fn is_of_patterns(table_type: &str) -> bool {
    matches!(table_type, "regexp" | "pcre")
}

/// Keys of servers of this world, by name and by address; `test` is the parent of nearly all.
pub fn server_keys() -> Vec<String> {
    let keys =
        ["test", "test", "good.test", "mail.good.test", "nowhere.test", "10", "10.1.0.1", "10.1", "2001:db8:1::1"];
    keys.map(str::to_owned).into()
}

fn client_keys(table_type: &str, session: &Session, spelling: Spelling<'_>) -> Vec<String> {
    let address = session.client.to_string();
    let (dot, width) = if session.client.is_ipv4() { ('.', 32) } else { (':', 128) };
    if table_type == "cidr" {
        let network = facts::Network::containing(session.client, width / 2).expect("half a width is a prefix");
        return vec![address.clone(), format!("{address}/{width}"), format!("{}/{}", network.address(), width / 2)];
    }
    let mut keys = vec![address.clone()];
    keys.extend(address.match_indices(dot).map(|(end, _)| address[..end].to_owned()));
    keys.extend(name_of(&address).map(|name| domain_keys(name, spelling)).unwrap_or_default());
    keys
}

fn domain_keys(domain: &str, spelling: Spelling<'_>) -> Vec<String> {
    let domain = domain.to_lowercase();
    let parents = domain.match_indices('.').map(|(dot, _)| &domain[dot + 1..]).filter(|parent| !parent.is_empty());
    let parents = parents.map(|parent| format!("{}{parent}", spelling.dot));
    [domain.clone()].into_iter().chain(parents).filter(|key| !key.is_empty()).collect()
}

fn address_keys(address: &Address, spelling: Spelling<'_>) -> Vec<String> {
    let meant = address.meant.to_lowercase();
    match meant.rsplit_once('@') {
        None if meant.is_empty() => vec![spelling.null_sender.to_owned()],
        None => vec![meant],
        Some((local_part, domain)) => {
            let user = local_part.split(|c| spelling.delimiters.contains(c)).next().filter(|user| !user.is_empty());
            let user = user.unwrap_or(local_part);
            let keys = [meant.as_str(), &format!("{local_part}@"), &format!("{user}@{domain}"), &format!("{user}@")];
            [keys.map(str::to_owned).to_vec(), domain_keys(domain, spelling)].concat()
        }
    }
}

/// A key as somebody may have typed it: case does not count.
pub fn spelt(key: String, random: &mut Random) -> String {
    if random.one_in(5) { key.to_uppercase() } else { key }
}

/// Whether every type of table can spell the key.
fn is_plain(key: &str) -> bool {
    let odd = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'}' | b'=' | b'"' | b'$' | b'#' | b',');
    key.is_ascii() && !key.bytes().any(odd)
}

/// The TXT records of a listing.
pub fn listing_texts(random: &mut Random) -> Vec<String> {
    // As long as one string may be. Of more strings in a record we show all, Postfix the first: on purpose.
    let long = &"a reason that is as long as one string of a record may be ".repeat(6)[..255];
    match random.below(8) {
        0 => vec![],
        1 => vec!["!SERVFAIL".into()],
        2 => vec!["one text".into(), "and another".into()],
        3 => vec![long.trim_end().into()],
        4 => vec![long.trim_end().into(), long.trim_end().to_uppercase()],
        5 => vec!["with \"quotes\", 100 % and a\ttab".into()],
        6 => vec!["8 bit: \u{e4}".into()],
        _ => vec!["https://list.test/?ip=10.1.0.1".into()],
    }
}
