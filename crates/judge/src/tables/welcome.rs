//! Lists of clients and of recipients that are never greylisted, in the format of postgrey's files.

use std::net::IpAddr;

use facts::Network;

use super::keyed::{Row, Rows};
use super::lines::Complaints;
use super::patterns::{self, Rules, Syntax, Work};
use super::{Found, Parsed, Unavailable, lower_case};

/// Whom a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Clients, by their verified names and by their addresses.
    Clients,
    /// Recipients, by their addresses.
    Recipients,
}

/// The rows of a list.
#[derive(Debug)]
pub(super) struct WelcomeList {
    whom: Whom,
    /// Names, which hold for those below them too; of recipients `user@domain` and `user@` as well.
    names: Rows,
    networks: Vec<(Network, Row)>,
    patterns: Rules,
}

/// Parses a file of postgrey's: `#` begins a comment wherever it stands, each line is a row of its own.
///
/// # Errors
/// A sentence: there are too many patterns.
pub(super) fn parse(whom: Whom, text: &[u8]) -> Result<Parsed<WelcomeList>, String> {
    let mut parser = Parser {
        whom,
        names: Rows::default(),
        networks: Vec::new(),
        pattern_lines: String::new(),
        complaints: Complaints::default(),
    };
    for (index, line) in text.split(|octet| *octet == b'\n').enumerate() {
        let row = line.split(|octet| *octet == b'#').next().unwrap_or_default().trim_ascii();
        let row = std::str::from_utf8(row).map_err(|_| "not valid UTF-8: row ignored".to_owned());
        if let Err(complaint) = row.and_then(|row| parser.row(row, index + 1)) {
            parser.complaints.add(index + 1, complaint);
        }
        parser.pattern_lines.push('\n');
    }
    let Parser { names, networks, pattern_lines, mut complaints, .. } = parser;
    let Parsed { rows: patterns, complaints: of_patterns } = patterns::parse(Syntax::Pcre, pattern_lines.as_bytes())?;
    complaints.append(of_patterns);
    Ok(Parsed { rows: WelcomeList { whom, names, networks, patterns }, complaints })
}

impl WelcomeList {
    /// The row for a client's name, for an address in numbers, or for a recipient.
    pub(super) fn find(&self, key: &str, work: &Work) -> Result<Option<Found<'_>>, Unavailable> {
        if self.whom == Whom::Clients
            && let Ok(address) = key.parse::<IpAddr>()
        {
            let row = self.networks.iter().find(|(network, _)| network.contains(address));
            return Ok(row.map(|(_, row)| row.found()));
        }
        match self.find_name(&lower_case(key)) {
            Some(row) => Ok(Some(row.found())),
            None => self.patterns.find(key, work),
        }
    }

    fn find_name(&self, name: &str) -> Option<&Row> {
        match self.whom {
            Whom::Clients => std::iter::once(name).chain(behind(name, ".")).find_map(|name| self.names.get(name)),
            Whom::Recipients => {
                let address = |user: &str| {
                    let domain = name.split_once('@').map(|(_, domain)| domain)?;
                    self.names.get(&format!("{user}@{domain}")).or_else(|| self.names.get(&format!("{user}@")))
                };
                let user = name.split_once('@').map_or("", |(user, _)| user);
                let domain = || behind(name, "@.").find_map(|name| self.names.get(name));
                without_extensions(user).find_map(address).or_else(domain)
            }
        }
    }
}

/// What stands behind each of the separators.
fn behind<'a>(text: &'a str, separators: &str) -> impl Iterator<Item = &'a str> {
    text.match_indices(move |c| separators.contains(c)).filter_map(|(at, _)| text.get(at + 1..))
}

/// `a+b+c`, `a+b` and `a`; an extension has at least one sign.
fn without_extensions(user: &str) -> impl Iterator<Item = &str> {
    let shorter = user.rmatch_indices('+').filter(|(at, _)| at + 1 < user.len()).filter_map(|(at, _)| user.get(..at));
    std::iter::once(user).chain(shorter)
}

struct Parser {
    whom: Whom,
    names: Rows,
    networks: Vec<(Network, Row)>,
    /// The patterns as a table of their own, each on its line.
    pattern_lines: String,
    complaints: Complaints,
}

impl Parser {
    fn row(&mut self, text: &str, line: usize) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        if text.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(format!("\"{text}\" is more than one word: row ignored"));
        }
        let inside = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inside| !inside.is_empty());
        if let Some(pattern) = inside {
            self.pattern_lines.push_str(&pattern_line(pattern, text)?);
            return Ok(());
        }
        let row = Row { value: text.into(), line };
        match network(text).filter(|_| self.whom == Whom::Clients) {
            Some(network) => self.networks.push((network?, row)),
            None => drop(self.names.entry(text).or_insert(row)),
        }
        Ok(())
    }
}

/// A row of a `pcre:` table, with a delimiter that does not stand in the pattern.
fn pattern_line(pattern: &str, text: &str) -> Result<String, String> {
    let delimiter = "/,;%~=\"'"
        .chars()
        .find(|c| !pattern.contains(*c) || *c == '/' && pattern.matches("\\/").count() == pattern.matches('/').count());
    let delimiter =
        delimiter.ok_or_else(|| format!("the pattern {text} has too many kinds of punctuation: row ignored"))?;
    Ok(format!("{delimiter}{pattern}{delimiter} {}", text.replace('$', "$$")))
}

/// The network that `text` spells, if it is in numbers: an address with or without its prefix length, or the first two or
/// three octets of one (postgrey takes both for a /24).
fn network(text: &str) -> Option<Result<Network, String>> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
    let octets = address.split('.').count();
    let in_octets = address.split('.').all(is_number);
    let (address, length) = match (octets, length) {
        (4, _) if in_octets => (address.to_owned(), length),
        (3, None) if in_octets => (format!("{address}.0"), Some("24")),
        (2, None) if in_octets => (format!("{address}.0.0"), Some("24")),
        _ if address.matches(':').count() >= 2 => (address.to_owned(), length),
        _ => return None,
    };
    let network = address.parse::<IpAddr>().ok().and_then(|address| {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        Network::containing(address, length.map_or(Some(whole), |length| length.parse().ok())?)
    });
    Some(network.ok_or_else(|| format!("\"{text}\" is not a network: row ignored")))
}

#[cfg(test)]
mod tests {
    use super::super::Table;

    fn check(kind: &str, text: &str, cases: &[(&str, Option<usize>)]) {
        let table = Table::of_text(&format!("{kind}:/x"), text.as_bytes()).unwrap();
        for (key, expected) in cases {
            let found = table.find(key).unwrap();
            assert_eq!(found.map(|found| found.line), *expected, "{key}");
        }
    }

    #[test]
    fn clients() {
        let text = "# comment\nDebian.org # why\n/^mail\\d+\\.isp\\.example$/\n192.0.2.1\n198.51.100.7/24\n10.1.2\n172.16\n\
                    2001:db8::/32\n\n/^a\\/b$/\nunknown\n";
        check(
            "whitelist_clients",
            text,
            &[
                ("debian.org", Some(2)),
                ("bendel.DEBIAN.org", Some(2)),
                ("notdebian.org", None),
                ("debian.org.example", None),
                ("mail17.isp.example", Some(3)),
                ("mail.isp.example", None),
                ("192.0.2.1", Some(4)),
                ("192.0.2.2", None),
                ("198.51.100.200", Some(5)),
                ("10.1.2.3", Some(6)),
                ("172.16.0.9", Some(7)),
                ("172.16.1.9", None),
                ("2001:db8:1::1", Some(8)),
                ("2001:db9::1", None),
                ("a/b", Some(10)),
                ("unknown", Some(11)),
            ],
        );
    }

    #[test]
    fn recipients() {
        let text = "postmaster@\nabuse@ours.example\nfriends.example\n/^list-.*@/\nuser+ext@ours.example\n";
        check(
            "whitelist_recipients",
            text,
            &[
                ("postmaster@any.example", Some(1)),
                ("Postmaster+x@any.example", Some(1)),
                ("postmaster+@any.example", None),
                ("hostpostmaster@any.example", None),
                ("abuse@ours.example", Some(2)),
                ("abuse+a+b@ours.example", Some(2)),
                ("abuse@sub.ours.example", None),
                ("x@friends.example", Some(3)),
                ("x@sub.friends.example", Some(3)),
                ("x@notfriends.example", None),
                ("list-a@ours.example", Some(4)),
                ("user+ext@ours.example", Some(5)),
                ("user+ext+more@ours.example", Some(5)),
                ("user@ours.example", None),
                ("192.0.2.1", None),
            ],
        );
    }

    #[test]
    fn mistakes_name_their_lines() {
        let text = "two words\n192.0.2.300\n\n/(/\nok.example\n";
        let table = Table::of_text("whitelist_clients:/x", text.as_bytes()).unwrap();
        let lines: Vec<String> = table.warnings().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        for (warning, line) in lines.iter().zip([1, 2, 4]) {
            assert!(warning.starts_with(&format!("whitelist_clients:/x, line {line}: ")), "{warning}");
        }
        assert!(table.find("ok.example").unwrap().is_some());
    }
}
