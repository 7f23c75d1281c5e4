//! The right-hand side of a row with a pattern: text with `$1`, `${1}` and `$(1)` in it.

use std::ops::Range;

/// What a row answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    /// The text up to a group, and the group.
    parts: Vec<(Box<str>, usize)>,
    /// What follows the last group.
    end: Box<str>,
}

impl Replacement {
    /// Parses a text; `$$` is a dollar.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let (name, after) = name(after)?;
            parts.push((std::mem::take(&mut literal).into(), number(name)?));
            rest = after;
        }
        Ok(Self { parts, end: (literal + rest).into() })
    }

    /// The highest group it names; 0 if it names none.
    pub(super) fn highest(&self) -> usize {
        self.parts.iter().map(|(_, group)| *group).max().unwrap_or(0)
    }

    /// The text, if it names no groups.
    pub(super) fn literal(&self) -> Option<&str> {
        self.parts.is_empty().then_some(&*self.end)
    }

    /// The text up to the first group, if it holds a word at least.
    pub(super) fn first_word(&self) -> Option<&str> {
        let text = self.parts.first().map_or(&*self.end, |(text, _)| text);
        (!text.is_empty() && (self.parts.is_empty() || text.contains(|c: char| c.is_ascii_whitespace())))
            .then_some(text)
    }

    /// The text with what the groups matched of `key`, if it has `limit` octets at the most. A group without a match
    /// is empty.
    pub(super) fn expand(&self, key: &[u8], groups: &[Option<Range<usize>>], limit: usize) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.end.len());
        for (before, group) in &self.parts {
            let matched = groups.get(*group).cloned().flatten().and_then(|range| key.get(range));
            text.extend_from_slice(before.as_bytes());
            text.extend_from_slice(matched.unwrap_or_default());
            if text.len() > limit {
                return None;
            }
        }
        text.extend_from_slice(self.end.as_bytes());
        Some(text)
    }
}

/// The name after a dollar, and what follows it.
fn name(text: &str) -> Result<(&str, &str), String> {
    let closing = match text.bytes().next() {
        Some(b'{') => '}',
        Some(b'(') => ')',
        _ => {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            return Ok(text.split_at(end));
        }
    };
    // What is in brackets is a number or a mistake, so that brackets in it need not be balanced.
    text.get(1..).and_then(|inside| inside.split_once(closing)).ok_or_else(|| format!("\"${text}\" is not closed"))
}

fn number(name: &str) -> Result<usize, String> {
    match name.parse() {
        Ok(0) => Err("$0 is not a group: they count from 1".into()),
        Ok(number) if name.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ if name.is_empty() => Err("a dollar without a number after it: write $$ for the sign itself".into()),
        _ => Err(format!("\"${name}\" is not a group: write its number, or $$ for the sign itself")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let groups = [Some(0..5), Some(1..3), None];
        for (text, expected) in [
            ("REJECT", Ok("REJECT")),
            ("", Ok("")),
            ("a $1 b", Ok("a bc b")),
            ("$1$1", Ok("bcbc")),
            ("(${1})$(1).", Ok("(bc)bc.")),
            ("[$2]", Ok("[]")),
            ("$$1 $$", Ok("$1 $")),
            ("$0", Err("$0 is not a group")),
            ("$", Err("a dollar without")),
            ("$ 1", Err("a dollar without")),
            ("${1", Err("not closed")),
            ("$1a", Err("\"$1a\" is not a group")),
            ("${a}", Err("\"$a\" is not a group")),
        ] {
            let expanded = Replacement::parse(text).map(|parsed| parsed.expand(b"abcde", &groups, 10));
            match expected {
                Ok(expected) => assert_eq!(expanded, Ok(Some(expected.into())), "{text}"),
                Err(expected) => assert!(expanded.unwrap_err().contains(expected), "{text}"),
            }
        }
        assert_eq!(Replacement::parse("$1$1$1").unwrap().expand(b"abcde", &groups, 5), None);
    }
}
