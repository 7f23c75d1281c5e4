//! Postfix's table files: logical lines, and what is wrong with some of them.

use std::borrow::Cow;

/// How many complaints are kept of one table; more do not help.
const COMPLAINTS_MAX: usize = 20;

/// What is wrong with single rows of a table: lines and sentences, the first ones only.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<(usize, String)>);

impl Complaints {
    pub(super) fn add(&mut self, line: usize, complaint: impl Into<String>) {
        if self.0.len() < COMPLAINTS_MAX {
            self.0.push((line, complaint.into()));
        }
    }

    /// Takes those of a part of the same table.
    pub(super) fn append(&mut self, part: Self) {
        part.0.into_iter().for_each(|(line, complaint)| self.add(line, complaint));
        self.0.sort_by_key(|(line, _)| *line);
    }

    /// The sentences, each with the place it speaks of.
    pub(super) fn of(self, name: &str) -> Vec<String> {
        self.0.into_iter().map(|(line, text)| format!("{name}, line {line}: {text}")).collect()
    }
}

/// The logical lines of `text`, each with the number of its first physical line. A line that starts with white
/// space continues the one before; empty lines and lines whose first sign is `#` are passed over wherever they
/// stand.
pub(super) fn logical(text: &[u8]) -> impl Iterator<Item = (usize, Result<Cow<'_, str>, String>)> {
    let mut physical = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| counts(line)).peekable();
    std::iter::from_fn(move || {
        let (index, first) = physical.next()?;
        let mut line = Cow::Borrowed(first);
        while let Some((_, more)) = physical.next_if(|(_, next)| next.first().is_some_and(u8::is_ascii_whitespace)) {
            line.to_mut().extend_from_slice(more);
        }
        Some((index + 1, checked(line)))
    })
}

fn counts(line: &[u8]) -> bool {
    line.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'#')
}

fn checked(line: Cow<'_, [u8]>) -> Result<Cow<'_, str>, String> {
    if line.first().is_some_and(u8::is_ascii_whitespace) {
        return Err("the first row begins with white space: row ignored".into());
    }
    let not_text = |_| "not valid UTF-8: row ignored".to_owned();
    Ok(match line {
        Cow::Borrowed(line) => str::from_utf8(line).map_err(|_| not_text(()))?.trim_end().into(),
        Cow::Owned(line) => String::from_utf8(line).map_err(|_| not_text(()))?.trim_end().to_owned().into(),
    })
}

/// What follows `word` at the front of a line, if the line starts with it.
pub(super) fn keyword<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = line.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && !rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(rest)
}

/// A pattern without the `!`s and the white space before it.
pub(super) fn without_negations(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '!' || c.is_ascii_whitespace())
}
