//! Tables of networks (cidr_table(5)): the first rule that matches an address counts.

use std::net::IpAddr;

use facts::Network;

use super::keyed::{Row, Values};
use super::lines::{self, Complaints, keyword, without_negations};
use super::ranges::{Canvas, Ranges, Span};
use super::{Found, Parsed};

const FOUR: Span = Span { first: 0, last: u32::MAX as u128 };
const SIX: Span = Span { first: 0, last: u128::MAX };

/// The rows of a table, and which of them answers for an address.
#[derive(Debug)]
pub(super) struct Networks {
    rows: Vec<Row>,
    four: Ranges<u32>,
    six: Ranges<u128>,
}

impl Networks {
    /// The row of the first rule that matches.
    pub(super) fn find(&self, address: IpAddr) -> Option<Found<'_>> {
        let row = match address {
            IpAddr::V4(address) => self.four.row(address.into()),
            IpAddr::V6(address) => self.six.row(address.into()),
        };
        self.rows.get(row?).map(Row::found)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

/// Parses the lines of a table; a rule with a mistake is left out.
pub(super) fn parse(text: &[u8]) -> Parsed<Networks> {
    let mut parser = Parser {
        rows: Vec::new(),
        values: Values::default(),
        four: Canvas::new(FOUR),
        six: Canvas::new(SIX),
        open: Vec::new(),
    };
    let mut complaints = Complaints::default();
    for (line, logical) in lines::logical(text) {
        if let Err(complaint) = logical.and_then(|logical| parser.line(&logical, line)) {
            complaints.add(line, complaint);
        }
    }
    for block in parser.open.iter().rev() {
        complaints.add(block.line, "\"if\" without \"endif\"");
    }
    let Parser { rows, four, six, .. } = parser;
    Parsed { rows: Networks { rows, four: four.finish(), six: six.finish() }, complaints }
}

struct Parser {
    rows: Vec<Row>,
    values: Values,
    four: Canvas,
    six: Canvas,
    /// The `if`s that wait for their `endif`.
    open: Vec<Block>,
}

/// The addresses that come into an `if`, all of one family: to the other it says no.
struct Block {
    line: usize,
    is_ipv4: bool,
    spans: Vec<Span>,
}

/// What a rule is for: a network, or (`!`) the other addresses of its family.
struct Pattern {
    span: Span,
    is_ipv4: bool,
    inside: bool,
}

impl Parser {
    fn line(&mut self, logical: &str, line: usize) -> Result<(), String> {
        if let Some(rest) = keyword(logical, "if") {
            let pattern = pattern(rest.trim())?;
            self.open.push(Block { line, is_ipv4: pattern.is_ipv4, spans: self.spans(&pattern) });
            return Ok(());
        }
        if let Some(rest) = keyword(logical, "endif") {
            if !rest.trim().is_empty() {
                return Err("there is text after \"endif\": row ignored".into());
            }
            return self.open.pop().map(drop).ok_or_else(|| "\"endif\" without \"if\"".into());
        }
        let key_at = logical.len() - without_negations(logical).len();
        let value_at =
            logical[key_at..].find(|c: char| c.is_ascii_whitespace()).map_or(logical.len(), |at| key_at + at);
        let (key, value) = logical.split_at(value_at);
        let pattern = pattern(key)?;
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("\"{key}\" has no value after it: row ignored"));
        }
        let row = Row { value: self.values.share(value), line };
        self.row(&pattern, row)
    }

    fn row(&mut self, pattern: &Pattern, row: Row) -> Result<(), String> {
        let number = u32::try_from(self.rows.len()).map_err(|_| "too many rows: row ignored")?;
        self.rows.push(row);
        for span in self.spans(pattern) {
            let canvas = if pattern.is_ipv4 { &mut self.four } else { &mut self.six };
            canvas.paint(span, number);
        }
        Ok(())
    }

    /// The addresses that `pattern` is for, as far as they come here.
    fn spans(&self, pattern: &Pattern) -> Vec<Span> {
        let here: &[Span] = match self.open.last() {
            None if pattern.is_ipv4 => &[FOUR],
            None => &[SIX],
            Some(block) if block.is_ipv4 == pattern.is_ipv4 => &block.spans,
            Some(_) => &[],
        };
        if pattern.inside {
            here.iter().filter_map(|span| span.and(pattern.span)).collect()
        } else {
            here.iter().flat_map(|span| span.without(pattern.span)).collect()
        }
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let bare = without_negations(text);
    if bare.is_empty() {
        return Err("no network: row ignored".into());
    }
    let negations = text.bytes().take(text.len() - bare.len()).filter(|byte| *byte == b'!').count();
    // Postfix takes [2001:db8::/32] as well.
    let bare = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare);
    let network: Network = bare.parse().map_err(|error| format!("{error}: row ignored"))?;
    let (first, width) = match network.address() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), u32::BITS),
        IpAddr::V6(address) => (u128::from(address), u128::BITS),
    };
    let hosts = u128::MAX.checked_shr(u128::BITS - (width - u32::from(network.prefix_length()))).unwrap_or(0);
    Ok(Pattern {
        span: Span { first, last: first | hosts },
        is_ipv4: network.address().is_ipv4(),
        inside: negations.is_multiple_of(2),
    })
}
