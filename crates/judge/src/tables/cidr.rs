//! Tables of networks (cidr_table(5)): the first rule that matches an address counts.

use std::net::IpAddr;

use facts::Network;

use super::{Parsed, Row, lines};

/// The rules of a table, in order.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    network: Network,
    /// Whether the rule is for addresses inside, or (`!`) for the others.
    inside: bool,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Found(Row),
    /// `if`: addresses that do not match go on after as many rules.
    Else(usize),
}

impl Rule {
    /// An address of the other family matches no rule, not even a negated one.
    fn matches(&self, address: IpAddr) -> bool {
        self.network.address().is_ipv4() == address.is_ipv4() && self.network.contains(address) == self.inside
    }
}

impl Rules {
    /// The row of the first rule that matches.
    pub(super) fn find(&self, address: IpAddr) -> Option<&Row> {
        let mut index = 0;
        while let Some(rule) = self.rules.get(index) {
            index += match (&rule.then, rule.matches(address)) {
                (Then::Found(row), true) => return Some(row),
                (Then::Else(skip), false) => *skip,
                (Then::Found(_), false) | (Then::Else(_), true) => 1,
            };
        }
        None
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rules.iter().filter_map(|rule| match &rule.then {
            Then::Found(row) => Some(row),
            Then::Else(_) => None,
        })
    }
}

/// Parses the lines of a table; a rule with a mistake is left out.
pub(super) fn parse(text: &[u8]) -> Parsed<Rules> {
    let mut parser = Parser::default();
    let mut complaints = Vec::new();
    for (line, logical) in lines::logical(text) {
        if let Err(complaint) = logical.and_then(|logical| parser.line(&logical, line)) {
            complaints.push((line, complaint));
        }
    }
    while let Some((index, line)) = parser.open.pop() {
        complaints.push((line, "\"if\" without \"endif\"".into()));
        parser.close(index);
    }
    Parsed { rows: parser.rules, complaints }
}

#[derive(Default)]
struct Parser {
    rules: Rules,
    /// The `if`s that wait for their `endif`: index of the rule, line.
    open: Vec<(usize, usize)>,
}

impl Parser {
    fn line(&mut self, logical: &str, line: usize) -> Result<(), String> {
        if let Some(rest) = keyword(logical, "if") {
            let (network, inside) = pattern(rest.trim())?;
            self.open.push((self.rules.rules.len(), line));
            self.rules.rules.push(Rule { network, inside, then: Then::Else(1) });
            return Ok(());
        }
        if keyword(logical, "endif").is_some() {
            let (index, _) = self.open.pop().ok_or("\"endif\" without \"if\"")?;
            self.close(index);
            return Ok(());
        }
        let key_at = logical.len() - without_negations(logical).len();
        let value_at =
            logical[key_at..].find(|c: char| c.is_ascii_whitespace()).map_or(logical.len(), |at| key_at + at);
        let (key, value) = logical.split_at(value_at);
        let (network, inside) = pattern(key)?;
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("\"{key}\" has no value after it: row ignored"));
        }
        self.rules.rules.push(Rule { network, inside, then: Then::Found(Row { value: value.into(), line }) });
        Ok(())
    }

    fn close(&mut self, index: usize) {
        let length = self.rules.rules.len();
        if let Some(rule) = self.rules.rules.get_mut(index) {
            rule.then = Then::Else(length - index);
        }
    }
}

/// What follows `word` at the front of a line, if the line starts with it.
fn keyword<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = line.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && !rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(rest)
}

fn without_negations(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '!' || c.is_ascii_whitespace())
}

fn pattern(text: &str) -> Result<(Network, bool), String> {
    let bare = without_negations(text);
    let negations = text.bytes().take(text.len() - bare.len()).filter(|byte| *byte == b'!').count();
    let network = bare.parse().map_err(|error| format!("{error}: row ignored"))?;
    Ok((network, negations.is_multiple_of(2)))
}
