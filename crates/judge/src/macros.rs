//! `$name` in a text, as Postfix expands it (mac_expand(3)): `$name`, `${name}`, `$(name)`, `${name?text}`,
//! `${name:text}`, `${name?{text}:{text}}`, and `$$` for a dollar sign.

use std::borrow::Cow;

/// How deep a value may lead to others.
const DEPTH_MAX: usize = 20;
/// The longest expansion, in bytes.
const LENGTH_MAX: usize = 64 * 1024;

/// Expands `text`; `value` knows the names and their values, in which further names are expanded if `again`. A name
/// that is empty is not there, as far as `?` and `:` go.
///
/// # Errors
/// A name that `value` does not know, or what is wrong with the text, as a sentence.
pub(crate) fn expand<'a>(
    text: &str,
    again: bool,
    value: &dyn Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let depth = if again { DEPTH_MAX } else { 0 };
    push(text, depth, again, value, &mut out)?;
    Ok(out)
}

fn push<'a>(
    text: &str,
    depth: usize,
    again: bool,
    value: &dyn Fn(&str) -> Option<Cow<'a, str>>,
    out: &mut String,
) -> Result<(), String> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = match after.chars().next() {
            Some('$') => {
                out.push('$');
                &after[1..]
            }
            Some('{' | '(') => {
                let (inside, rest) = enclosed(after).ok_or_else(|| format!("\"${after}\" is not closed"))?;
                let (name, condition) = inside.split_at(name_length(inside));
                let known = known(name, value)?;
                match Condition::parse(condition)? {
                    Condition::None => push_value(&known, depth, again, value, out)?,
                    Condition::Texts { filled, empty } => {
                        let text = if known.is_empty() { empty } else { filled };
                        push(text, depth, again, value, out)?;
                    }
                }
                rest
            }
            _ => {
                let (name, rest) = after.split_at(name_length(after));
                push_value(&known(name, value)?, depth, again, value, out)?;
                rest
            }
        };
        if out.len() > LENGTH_MAX {
            return Err(format!("what $names stand for is longer than {LENGTH_MAX} bytes"));
        }
    }
    out.push_str(rest);
    Ok(())
}

fn push_value<'a>(
    known: &str,
    depth: usize,
    again: bool,
    value: &dyn Fn(&str) -> Option<Cow<'a, str>>,
    out: &mut String,
) -> Result<(), String> {
    if !again {
        out.push_str(known);
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or("a $name leads back to itself")?;
    push(known, depth, again, value, out)
}

fn known<'a>(name: &str, value: &dyn Fn(&str) -> Option<Cow<'a, str>>) -> Result<Cow<'a, str>, String> {
    if name.is_empty() {
        return Err("a name is missing after \"$\" (write \"$$\" for a dollar sign)".into());
    }
    value(name).ok_or_else(|| format!("unknown name \"${name}\""))
}

/// What follows the name inside of `${…}`.
enum Condition<'a> {
    None,
    Texts { filled: &'a str, empty: &'a str },
}

impl<'a> Condition<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (filled, empty) = match text.split_at_checked(1) {
            None => return Ok(Self::None),
            Some((":", text)) => ("", braced(text)),
            Some(("?", text)) => match enclosed(text).filter(|_| text.starts_with('{')) {
                Some((filled, rest)) => (filled, rest.trim_start().strip_prefix(':').map_or("", braced)),
                None => (text, ""),
            },
            Some(_) => return Err(format!("\"{text}\" is no condition: write ?text or :text after the name")),
        };
        Ok(Self::Texts { filled, empty })
    }
}

fn braced(text: &str) -> &str {
    let text = text.trim_start();
    enclosed(text)
        .filter(|(_, rest)| text.starts_with('{') && rest.trim().is_empty())
        .map_or(text, |(inside, _)| inside)
}

/// What stands between the bracket at the front of `text` and its partner, and what follows that.
fn enclosed(text: &str) -> Option<(&str, &str)> {
    let (open, close) = if text.starts_with('{') { (b'{', b'}') } else { (b'(', b')') };
    let mut depth = 0_usize;
    for (at, octet) in text.bytes().enumerate() {
        depth = if octet == open {
            depth + 1
        } else if octet == close {
            depth.checked_sub(1)?
        } else {
            depth
        };
        if depth == 0 {
            return Some((text.get(1..at)?, &text[at + 1..]));
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<Cow<'static, str>> {
        Some(match name {
            "a" => "A".into(),
            "empty" => "".into(),
            "more" => "<$a>".into(),
            "loop" => "$loop".into(),
            "wide" => "x".repeat(LENGTH_MAX / 2).into(),
            _ => return None,
        })
    }

    #[test]
    fn names_are_expanded() {
        for (text, expected) in [
            ("plain", Ok("plain")),
            ("$a b", Ok("A b")),
            ("${a}b$(a)", Ok("AbA")),
            ("$$a", Ok("$a")),
            ("$more", Ok("<A>")),
            ("[$empty]", Ok("[]")),
            ("${a?yes}${empty?no}", Ok("yes")),
            ("${a:no}${empty:yes}", Ok("yes")),
            ("${a?{yes}:{no}}${empty?{yes} : {no}}", Ok("yesno")),
            ("${a?; $a}", Ok("; A")),
            ("${empty?{}:{$a}}", Ok("A")),
            ("$b", Err("unknown name \"$b\"")),
            ("$", Err("a name is missing after \"$\" (write \"$$\" for a dollar sign)")),
            ("${a", Err("\"${a\" is not closed")),
            ("${a!b}", Err("\"!b\" is no condition: write ?text or :text after the name")),
            ("$loop", Err("a $name leads back to itself")),
            ("$wide$wide$wide", Err("what $names stand for is longer than 65536 bytes")),
        ] {
            let found = expand(text, true, &value);
            assert_eq!(found.as_deref().map_err(|error| &**error), expected, "{text}");
        }
        assert_eq!(expand("$more", false, &value).as_deref(), Ok("<$a>"));
    }
}
