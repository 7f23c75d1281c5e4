//! The log line of a decision: for people `key=value`, for machines JSON. What strangers wrote stands in it escaped
//! and cut.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use facts::{Decision, EmailAddress, Facts};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::report::{Report, ascii_json};

#[cfg(test)]
mod tests;

/// The longest value of a stranger in a log line, in characters, escapes counted.
pub const VALUE_LENGTH_MAX: usize = 256;
/// The longest JSON line with findings, in bytes: over it they are left out, as a hostile DNS answer can be long.
pub const LINE_LENGTH_MAX: usize = 16 * 1024;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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

/// A decision and its circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The door through which it was asked for.
    pub door: &'a str,
    /// What was known.
    pub facts: &'a Facts,
    /// What was decided.
    pub decision: &'a Decision,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Writes the line of `entry`.
    pub fn record(&self, entry: &Entry<'_>) {
        let mut line = match self.format {
            Format::Human => human(entry, self.stamped),
            Format::Json => json(entry),
        };
        line.push('\n');
        (self.lines)(&line);
    }
}

/// The client's own words come after ours, so that a program that reads up to the first match is not led astray.
fn human(entry: &Entry<'_>, stamped: bool) -> String {
    let mut line = String::with_capacity(512);
    if stamped && let Ok(time) = Timestamp::try_from(entry.decision.time) {
        let _ = write!(line, "{time:.6}  INFO ");
    }
    // Writing to a String cannot fail.
    let _ = write_human(&mut line, entry);
    line
}

fn write_human(line: &mut String, Entry { door, facts, decision, elapsed, .. }: &Entry<'_>) -> fmt::Result {
    write!(line, "decision id={} door={door} stage={} verdict={}", decision.id, decision.stage, decision.verdict)?;
    write!(line, " reason={}", decision.reason)?;
    if let Some(restriction) = decision.restriction {
        write!(line, " restriction=\"{}\"", Quoted(restriction))?;
    }
    let client_name = facts.client.name.as_ref().map_or("unknown", |name| name.as_str());
    write!(line, " client={}[{}]", Word(client_name), facts.client.address)?;
    if let Some(greeting) = &facts.greeting {
        write!(line, " helo=<{}>", Word(&greeting.helo_name))?;
    }
    if let Some(envelope) = &facts.envelope {
        write!(line, " from=<{}>", Word(envelope.sender.as_ref().map_or("", EmailAddress::as_str)))?;
        if let Some(sasl_username) = &envelope.sasl_username {
            write!(line, " sasl_username=<{}>", Word(sasl_username))?;
        }
    }
    if let Some(recipient) = &facts.recipient {
        write!(line, " to=<{}>", Word(recipient.address.as_str()))?;
    }
    if let Some(reply) = &decision.reply {
        write!(line, " reply=\"{} {} {}\"", reply.code, Quoted(&reply.enhanced), Quoted(&reply.text))?;
    }
    write!(line, " dns_queries={} micros={}", decision.dns_queries, elapsed.as_micros())
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

fn json(entry: &Entry<'_>) -> String {
    let mut line = Line::new(entry);
    match ascii_json(&line) {
        Ok(text) if text.len() <= LINE_LENGTH_MAX => text,
        _ => {
            line.report.findings = &[];
            line.report.reply = line.report.reply.map(|reply| Cut(&reply).to_string());
            ascii_json(&line).unwrap_or_else(|error| format!("{{\"id\":\"{}\",\"error\":\"{error}\"}}", line.id))
        }
    }
}

impl<'a> Line<'a> {
    fn new(&Entry { door, facts, decision, elapsed }: &Entry<'a>) -> Self {
        let envelope = facts.envelope.as_deref();
        Self {
            time: Timestamp::try_from(decision.time).map_or_else(|_| String::new(), |now| format!("{now:.3}")),
            id: decision.id.to_string(),
            door,
            client: facts.client.address.to_string(),
            client_name: facts.client.name.as_ref().map(|name| Cut(name.as_str())),
            helo: facts.greeting.as_ref().map(|greeting| Cut(&greeting.helo_name)),
            sender: envelope.map(|envelope| Cut(envelope.sender.as_ref().map_or("", EmailAddress::as_str))),
            sasl_username: envelope.and_then(|envelope| envelope.sasl_username.as_deref()).map(Cut),
            recipient: facts.recipient.as_ref().map(|recipient| Cut(recipient.address.as_str())),
            report: Report::new(decision),
            micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// A value that ends at a space or a `>`: neither can stand in it, so no value can pass for another field.
pub(crate) struct Word<'a>(pub(crate) &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, |c| matches!(c, '!'..='~') && !matches!(c, '<' | '>' | '"' | '\\'))
    }
}

/// A value between double quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, |c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
    }
}

/// `value` with all that is not `plain` escaped, cut at [`VALUE_LENGTH_MAX`].
fn write_escaped(f: &mut fmt::Formatter<'_>, value: &str, plain: impl Fn(char) -> bool) -> fmt::Result {
    if value.len() <= VALUE_LENGTH_MAX && value.chars().all(&plain) {
        return f.write_str(value);
    }
    let mut room = VALUE_LENGTH_MAX;
    for c in value.chars() {
        let length = if plain(c) { 1 } else { c.escape_unicode().len() };
        let Some(left) = room.checked_sub(length) else {
            return f.write_str("...");
        };
        room = left;
        if plain(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_unicode())? }
    }
    Ok(())
}

/// A value cut at [`VALUE_LENGTH_MAX`] bytes; JSON does the escaping.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.floor_char_boundary(VALUE_LENGTH_MAX);
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
