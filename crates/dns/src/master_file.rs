//! Reads the master file format (RFC 1035 §5): text → entries.
//!
//! hickory has a parser for it, but that one reads `\DDD` and quotes inside parentheses wrongly, refuses `@` as data,
//! and cannot say in which line it failed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use facts::Record;

use crate::Error;
use crate::name;

/// The longest name in a message, lengths of labels included (RFC 1035 §3.1).
const WIRE_LENGTH_MAX: usize = 255;
const LABEL_LENGTH_MAX: usize = 63;

/// What one entry says of its owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Record(Record),
    /// The owner's other name.
    Cname(Box<str>),
    /// A record of a type that nobody asks for: it only says that the owner exists.
    Other,
}

/// The entries of a file, in their order, each with its owner as [`name::joined`] writes it. A relative name is one
/// below the root until `$ORIGIN` says otherwise; TTL and class may be left out, as nobody asks for them.
pub(crate) fn parse(text: &str, file_name: &str) -> Result<Vec<(Box<str>, Data)>, Error> {
    let mut origin: Labels = Vec::new();
    let mut last_owner = None;
    let mut entries = Vec::new();
    for entry in split(text).map_err(|fault| fault.in_file(file_name))? {
        let fault = |problem| Fault { line: entry.line, problem }.in_file(file_name);
        if let Some(directive) = entry.fields.first().filter(|field| !entry.is_indented && field.starts_with('$')) {
            match (directive.to_ascii_uppercase().as_str(), entry.fields.get(1)) {
                ("$ORIGIN", Some(name)) => origin = labels(name, &origin).map_err(fault)?,
                ("$TTL", Some(_)) => {}
                _ => return Err(fault(format!("{} is not understood: only $ORIGIN and $TTL are", directive))),
            }
            continue;
        }
        let mut fields = entry.fields.iter();
        if !entry.is_indented {
            last_owner = fields.next().map(|owner| labels(owner, &origin)).transpose().map_err(fault)?;
        }
        let owner = last_owner.as_ref().ok_or_else(|| fault("the first record has no owner".into()))?;
        entries.push((text_of(owner), data(fields.as_slice(), &origin).map_err(fault)?));
    }
    Ok(entries)
}

struct Fault {
    line: usize,
    problem: String,
}

impl Fault {
    fn in_file(self, file_name: &str) -> Error {
        Error::ZoneMalformed { file: file_name.to_owned(), line: self.line, problem: self.problem }
    }
}

/// One line, or several where parentheses hold them together.
struct Entry {
    line: usize,
    /// Whether it starts with a blank: then it has the owner of the entry before.
    is_indented: bool,
    /// As they stand in the file, escapes unread, without quotes.
    fields: Vec<String>,
}

fn split(text: &str) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    let mut entry = None;
    let mut depth = 0_usize;
    for (index, rest) in text.lines().enumerate() {
        let line = index + 1;
        let is_indented = rest.starts_with([' ', '\t']);
        let open = entry.get_or_insert_with(|| Entry { line, is_indented, fields: Vec::new() });
        split_line(rest, &mut open.fields, &mut depth).map_err(|problem| Fault { line, problem })?;
        if depth == 0 {
            entries.extend(entry.take().filter(|entry| !entry.fields.is_empty()));
        }
    }
    match entry {
        Some(Entry { line, .. }) => Err(Fault { line, problem: "\")\" is missing".into() }),
        None => Ok(entries),
    }
}

fn split_line(line: &str, fields: &mut Vec<String>, depth: &mut usize) -> Result<(), String> {
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' => {}
            ';' => return Ok(()),
            '(' => *depth += 1,
            ')' => *depth = depth.checked_sub(1).ok_or("\"(\" is missing")?,
            '"' => fields.push(quoted(&mut characters)?),
            first => {
                let mut field = String::new();
                push_escaped(&mut field, first, &mut characters)?;
                while let Some(next) = characters.next_if(|next| !" \t\r;()\"".contains(*next)) {
                    push_escaped(&mut field, next, &mut characters)?;
                }
                fields.push(field);
            }
        }
    }
    Ok(())
}

fn quoted(characters: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut field = String::new();
    while let Some(character) = characters.next() {
        if character == '"' {
            return Ok(field);
        }
        push_escaped(&mut field, character, characters)?;
    }
    Err("a closing quote is missing: a text ends in the line in which it starts".into())
}

fn push_escaped(text: &mut String, character: char, rest: &mut impl Iterator<Item = char>) -> Result<(), String> {
    text.push(character);
    if character == '\\' {
        text.push(rest.next().ok_or("nothing follows the backslash")?);
    }
    Ok(())
}

type Labels = Vec<Vec<u8>>;

fn labels(text: &str, origin: &Labels) -> Result<Labels, String> {
    let mut labels = match text {
        "@" => return Ok(origin.clone()),
        "." => return Ok(Labels::new()),
        _ => vec![Vec::new()],
    };
    for octet in octets(text)? {
        match octet {
            Octet::Plain(b'.') => labels.push(Vec::new()),
            Octet::Plain(octet) | Octet::Escaped(octet) => {
                labels.last_mut().expect("there is always a label").push(octet.to_ascii_lowercase());
            }
        }
    }
    if labels.last().is_some_and(Vec::is_empty) {
        labels.pop();
    } else {
        labels.extend_from_slice(origin);
    }
    let wire_length: usize = 1 + labels.iter().map(|label| 1 + label.len()).sum::<usize>();
    let are_good = labels.iter().all(|label| (1..=LABEL_LENGTH_MAX).contains(&label.len()));
    if are_good && wire_length <= WIRE_LENGTH_MAX { Ok(labels) } else { Err(format!("\"{text}\" is not a name")) }
}

fn text_of(labels: &Labels) -> Box<str> {
    name::joined(labels.iter().map(Vec::as_slice))
}

enum Octet {
    Plain(u8),
    /// Written `\X` or `\DDD`: it has no special meaning.
    Escaped(u8),
}

fn octets(text: &str) -> Result<Vec<Octet>, String> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(Octet::Plain(octet));
            continue;
        }
        let first = rest.next().ok_or("nothing follows the backslash")?;
        octets.push(Octet::Escaped(if first.is_ascii_digit() {
            let digits = [Some(first), rest.next(), rest.next()];
            let number = digits.into_iter().try_fold(0_u16, |number, digit| {
                let digit = digit.filter(u8::is_ascii_digit)?;
                Some(number * 10 + u16::from(digit - b'0'))
            });
            number.and_then(|number| u8::try_from(number).ok()).ok_or("\"\\DDD\" means three digits, 255 at most")?
        } else {
            first
        }));
    }
    Ok(octets)
}

/// `[TTL] [class] type data`, TTL and class in either order.
fn data(fields: &[String], origin: &Labels) -> Result<Data, String> {
    let mut fields = fields.iter();
    let record_type = loop {
        let field = fields.next().ok_or("a record type is missing")?;
        match field.to_ascii_uppercase() {
            class if class == "IN" => {}
            class if ["CH", "HS", "CS"].contains(&class.as_str()) => {
                return Err(format!("class {class} is not known: only IN is"));
            }
            ttl if ttl.starts_with(|character: char| character.is_ascii_digit()) => is_ttl(&ttl)?,
            record_type => break record_type,
        }
    };
    let fields = fields.as_slice();
    let name = |field: &String| labels(field, origin).map(|labels| text_of(&labels));
    Ok(match (record_type.as_str(), fields) {
        ("A", [address]) => Data::Record(Record::A(parsed::<Ipv4Addr>(address, "an IPv4 address")?)),
        ("AAAA", [address]) => Data::Record(Record::Aaaa(parsed::<Ipv6Addr>(address, "an IPv6 address")?)),
        ("MX", [preference, exchange]) => Data::Record(Record::Mx {
            preference: parsed(preference, "a preference from 0 to 65535")?,
            exchange: name(exchange)?,
        }),
        ("NS", [host]) => Data::Record(Record::Ns(name(host)?)),
        ("PTR", [host]) => Data::Record(Record::Ptr(name(host)?)),
        ("CNAME", [target]) => Data::Cname(name(target)?),
        ("TXT", [_, ..]) => Data::Record(Record::Txt(joined_text(fields)?)),
        ("A" | "AAAA" | "MX" | "NS" | "PTR" | "CNAME" | "TXT", _) => {
            return Err(format!("{} fields after {record_type}: that is too few or too many", fields.len()));
        }
        _ if is_record_type(&record_type) => Data::Other,
        _ => return Err(format!("\"{record_type}\" is not a record type")),
    })
}

fn is_ttl(text: &str) -> Result<(), String> {
    facts::duration::parse(text).map(drop).map_err(|_| format!("\"{text}\" is not a TTL"))
}

/// SPF had a type of its own (RFC 4408), which old zones still hold; RFC 3597 §5 writes any type by its number.
fn is_record_type(text: &str) -> bool {
    let number = text.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    text == "SPF" || number.is_some() || hickory_proto::rr::RecordType::from_str(text).is_ok()
}

fn parsed<T: FromStr>(field: &str, what: &str) -> Result<T, String> {
    field.parse().map_err(|_| format!("\"{}\" is not {what}", field))
}

fn joined_text(fields: &[String]) -> Result<Box<str>, String> {
    let mut joined = Vec::new();
    for field in fields {
        let octets = octets(field)?;
        if octets.len() > 255 {
            return Err("a string of TXT holds 255 octets at most: cut it into several".into());
        }
        joined.extend(octets.into_iter().map(|octet| match octet {
            Octet::Plain(octet) | Octet::Escaped(octet) => octet,
        }));
    }
    Ok(String::from_utf8_lossy(&joined).into_owned().into())
}
