//! The log line of a decision: for people `key=value`, for machines JSON. What strangers wrote stands in it escaped
//! and cut.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use facts::{DecisionId, EmailAddress, Enforced, Reply, hostname};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use store::journal::Row;

use crate::report::{Report, ascii_json};

mod stamp;
#[cfg(test)]
mod tests;
mod whole;

pub use whole::whole_json;

/// The longest value of a stranger in a log line, in characters, escapes counted.
pub const VALUE_LENGTH_MAX: usize = 256;
/// The longest JSON line with findings, in bytes: over it they are left out, as a hostile DNS answer can be long.
pub const LINE_LENGTH_MAX: usize = 16 * 1024;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `key=value`, for people.
    #[default]
    Human,
    /// An object a line, for programs.
    Json,
}

/// Takes one line with its newline. Must not block: it is called where decisions are made.
pub type Lines = Arc<dyn Fn(&str) + Send + Sync>;

/// Writes a line for each decision.
#[derive(Clone)]
pub struct Recorder {
    /// How.
    pub format: Format,
    /// Whether a line for people begins with the time and a weight, as other lines of the log do.
    pub stamped: bool,
    /// Where to.
    pub lines: Lines,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Writes the line of `row`.
    pub fn record(&self, row: &Row) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                Format::Human => push_human(line, row, self.stamped),
                Format::Json => line.push_str(&json(row)),
            }
            line.push('\n');
            (self.lines)(line);
        });
    }
}

thread_local! {
    /// The line that is written: its memory is near as long as it stays the same.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The client's own words come after ours, so that a program that reads up to the first match is not led astray.
fn push_human(line: &mut String, row: &Row, stamped: bool) {
    if stamped {
        stamp::push(line, row.decision.time);
    }
    // Writing to a String cannot fail.
    let _ = write_human(line, row);
}

fn write_human(line: &mut String, Row { door, facts, decision, elapsed, .. }: &Row) -> fmt::Result {
    let id = &mut [0; DecisionId::LENGTH];
    for (name, word) in [
        ("decision id=", decision.id.encode(id)),
        (" door=", *door),
        (" stage=", decision.stage.as_str()),
        (" verdict=", decision.verdict.as_str()),
        (if decision.enforced.is_shadow() { " mode=shadow reason=" } else { " reason=" }, decision.reason.as_str()),
    ] {
        line.push_str(name);
        line.push_str(word);
    }
    if let Some(restriction) = decision.restriction {
        push_quoted(line, " restriction=", &[restriction])?;
    }
    let client_name = facts.client.name.as_ref().map_or("unknown", |name| name.as_str());
    push_word(line, " client=", client_name, "[")?;
    hostname::push_address(line, facts.client.address);
    line.push(']');
    if let Some(greeting) = &facts.greeting {
        push_word(line, " helo=<", &greeting.helo_name, ">")?;
    }
    if let Some(envelope) = &facts.envelope {
        push_word(line, " from=<", envelope.sender.as_ref().map_or("", EmailAddress::as_str), ">")?;
    }
    if let Some(sasl_username) = &facts.sasl_username {
        push_word(line, " sasl_username=<", sasl_username, ">")?;
    }
    if let Some(recipient) = &facts.recipient {
        push_word(line, " to=<", recipient.address.as_str(), ">")?;
    }
    for action in &decision.actions {
        push_quoted(line, " action=", &[&action.to_string()])?;
    }
    if let Some(reply) = &decision.reply {
        push_reply(line, " reply=", reply)?;
    }
    match &decision.enforced {
        Enforced::Whole => {}
        Enforced::Nothing => line.push_str(" enforced=nothing"),
        Enforced::RelayControl(refusal) => push_reply(line, " enforced=", &refusal.reply)?,
    }
    push_number(line, " dns_queries=", decision.dns_queries.into());
    push_number(line, " micros=", micros(*elapsed));
    Ok(())
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn push_number(line: &mut String, name: &str, number: u64) {
    line.push_str(name);
    line.push_str(itoa::Buffer::new().format(number));
}

/// Appends a [`Word`] between its name and its end. Not by `write!`, which takes longer than all the rest of a line.
fn push_word(line: &mut String, name: &str, word: &str, end: &str) -> fmt::Result {
    line.push_str(name);
    write_escaped(line, word, is_word)?;
    line.push_str(end);
    Ok(())
}

fn push_reply(line: &mut String, name: &str, reply: &Reply) -> fmt::Result {
    let mut code = itoa::Buffer::new();
    push_quoted(line, name, &[code.format(reply.code), &reply.enhanced, &reply.text])
}

/// Appends values between double quotes, with spaces between them.
fn push_quoted(line: &mut String, name: &str, values: &[&str]) -> fmt::Result {
    line.push_str(name);
    let mut before = '"';
    for value in values {
        line.push(before);
        write_escaped(line, value, is_quoted)?;
        before = ' ';
    }
    line.push('"');
    Ok(())
}

/// A JSON line: who and when, then the same fields as in `explain --json`.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: String,
    door: &'a str,
    client: String,
    client_name: Option<Cut<'a>>,
    helo: Option<Cut<'a>>,
    /// Empty for the null sender.
    sender: Option<Cut<'a>>,
    sasl_username: Option<Cut<'a>>,
    recipient: Option<Cut<'a>>,
    #[serde(flatten)]
    report: Report<'a>,
    micros: u64,
}

fn json(row: &Row) -> String {
    let mut line = Line::new(row, VALUE_LENGTH_MAX);
    match ascii_json(&line) {
        Ok(text) if text.len() <= LINE_LENGTH_MAX => text,
        _ => {
            line.report.findings = &[];
            for reply in [&mut line.report.reply, &mut line.report.enforced].into_iter().flatten() {
                *reply = Cut(reply, VALUE_LENGTH_MAX).to_string();
            }
            ascii_json(&line).unwrap_or_else(|error| format!("{{\"id\":\"{}\",\"error\":\"{error}\"}}", line.id))
        }
    }
}

impl<'a> Line<'a> {
    /// The line of a row, its values cut at so many bytes.
    fn new(row: &'a Row, length_max: usize) -> Self {
        let Row { door, facts, decision, elapsed, .. } = row;
        let cut = |text: &'a str| Cut(text, length_max);
        let envelope = facts.envelope.as_ref();
        Self {
            time: Timestamp::try_from(decision.time).map_or_else(|_| String::new(), |now| format!("{now:.3}")),
            id: decision.id.to_string(),
            door,
            client: facts.client.address.to_string(),
            client_name: facts.client.name.as_ref().map(|name| cut(name.as_str())),
            helo: facts.greeting.as_ref().map(|greeting| cut(&greeting.helo_name)),
            sender: envelope.map(|envelope| cut(envelope.sender.as_ref().map_or("", EmailAddress::as_str))),
            sasl_username: facts.sasl_username.as_deref().map(cut),
            recipient: facts.recipient.as_ref().map(|recipient| cut(recipient.address.as_str())),
            report: Report::new(decision),
            micros: micros(*elapsed),
        }
    }
}

/// A value that ends at a space or a `>`: neither can stand in it, so no value can pass for another field.
pub(crate) struct Word<'a>(pub(crate) &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, is_word)
    }
}

fn is_word(octet: u8) -> bool {
    WORD_OCTETS[usize::from(octet)]
}

fn is_quoted(octet: u8) -> bool {
    QUOTED_OCTETS[usize::from(octet)]
}

const WORD_OCTETS: [bool; 256] = octets_but(b" <>\"\\");
const QUOTED_OCTETS: [bool; 256] = octets_but(b"\"\\");

/// All that is printable ASCII but these.
const fn octets_but(excluded: &[u8]) -> [bool; 256] {
    let mut octets = [false; 256];
    let mut octet = b' ';
    while octet <= b'~' {
        octets[octet as usize] = true;
        octet += 1;
    }
    let mut index = 0;
    while index < excluded.len() {
        octets[excluded[index] as usize] = false;
        index += 1;
    }
    octets
}

/// `value` with all that is not `plain` ASCII escaped, cut at [`VALUE_LENGTH_MAX`].
fn write_escaped(out: &mut impl fmt::Write, value: &str, plain: impl Fn(u8) -> bool) -> fmt::Result {
    // Without a branch for each octet, as nearly all values are plain.
    if value.len() <= VALUE_LENGTH_MAX && value.bytes().fold(true, |all, octet| all & plain(octet)) {
        return out.write_str(value);
    }
    let mut room = VALUE_LENGTH_MAX;
    for c in value.chars() {
        let is_plain = u8::try_from(c).is_ok_and(&plain);
        let length = if is_plain { 1 } else { c.escape_unicode().len() };
        let Some(left) = room.checked_sub(length) else {
            return out.write_str("...");
        };
        room = left;
        if is_plain { out.write_char(c)? } else { write!(out, "{}", c.escape_unicode())? }
    }
    Ok(())
}

/// A value cut at so many bytes; JSON does the escaping.
struct Cut<'a>(&'a str, usize);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.floor_char_boundary(self.1);
        let (start, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        f.write_str(start)?;
        if rest.is_empty() { Ok(()) } else { f.write_str("...") }
    }
}

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
