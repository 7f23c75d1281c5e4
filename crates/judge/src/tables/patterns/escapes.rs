//! What a backslash does in pcre_table(5).

use regex_syntax::hir::{ClassBytes, Look};

use super::syntax::{Cursor, all_but, named_set, set_of};

/// What an escape sequence stands for.
pub(super) enum Escape<'a> {
    Octet(u8),
    Set(ClassBytes),
    Look(Look),
    /// `\R`
    LineEnd,
    /// `\K`: only what is replaced would change, and nothing is.
    Nothing,
    /// A group by its number.
    Group(usize),
    /// A group by its name.
    Name(&'a str),
}

/// Reads what follows a backslash, where `groups` have been opened so far.
pub(super) fn read<'a>(cursor: &mut Cursor<'a>, groups: usize, in_class: bool) -> Result<Escape<'a>, String> {
    let octet = cursor.next().ok_or("\\ at end of pattern")?;
    if let Some(escape) = single(octet, in_class) {
        return Ok(escape);
    }
    Ok(match octet {
        b'c' => {
            let sign = cursor.next().filter(|octet| matches!(octet, b' '..=b'~'));
            Escape::Octet(
                sign.ok_or("\\c must be followed by a printable ASCII character")?.to_ascii_uppercase() ^ 0x40,
            )
        }
        b'0' => octal("0", cursor, 2)?,
        b'o' if cursor.take("{") => number(cursor.until("}").unwrap_or_default(), 8)?,
        b'x' if cursor.take("{") => number(cursor.until("}").unwrap_or_default(), 16)?,
        b'x' => match cursor.run(2, |octet| octet.is_ascii_hexdigit()) {
            "" => Escape::Octet(0),
            digits => number(digits, 16)?,
        },
        b'1'..=b'9' => return digits(octet, cursor, groups, in_class),
        b'g' if !in_class => return group(cursor, groups),
        b'k' if !in_class => name(cursor)?,
        octet if octet.is_ascii_alphanumeric() => {
            return Err(format!("\\{} is not known, or not carried in this version", char::from(octet)));
        }
        octet => Escape::Octet(octet),
    })
}

/// Sequences of one letter.
fn single(octet: u8, in_class: bool) -> Option<Escape<'static>> {
    let named = |name| named_set(name).unwrap_or_else(ClassBytes::empty);
    let horizontal = || set_of([(b'\t', b'\t'), (b' ', b' '), (0xa0, 0xa0)]);
    let vertical = || set_of([(b'\n', b'\r'), (0x85, 0x85)]);
    Some(match octet {
        b'a' => Escape::Octet(0x07),
        b'e' => Escape::Octet(0x1b),
        b'f' => Escape::Octet(0x0c),
        b'n' => Escape::Octet(b'\n'),
        b'r' => Escape::Octet(b'\r'),
        b't' => Escape::Octet(b'\t'),
        b'd' => Escape::Set(named("digit")),
        b'D' => Escape::Set(all_but(named("digit"))),
        b'w' => Escape::Set(named("word")),
        b'W' => Escape::Set(all_but(named("word"))),
        b's' => Escape::Set(named("space")),
        b'S' => Escape::Set(all_but(named("space"))),
        b'h' => Escape::Set(horizontal()),
        b'H' => Escape::Set(all_but(horizontal())),
        b'v' => Escape::Set(vertical()),
        b'V' => Escape::Set(all_but(vertical())),
        b'b' if in_class => Escape::Octet(0x08),
        _ if in_class => return None,
        b'b' => Escape::Look(Look::WordAscii),
        b'B' => Escape::Look(Look::WordAsciiNegate),
        b'A' | b'G' => Escape::Look(Look::Start),
        b'z' | b'Z' => Escape::Look(Look::End),
        b'N' => Escape::Set(set_of([(0, b'\t'), (0x0b, 255)])),
        b'C' => Escape::Set(set_of([(0, 255)])),
        b'R' => Escape::LineEnd,
        b'K' => Escape::Nothing,
        _ => return None,
    })
}

/// A reference, or an octet in octal digits where there are not so many groups.
fn digits<'a>(first: u8, cursor: &mut Cursor<'a>, groups: usize, in_class: bool) -> Result<Escape<'a>, String> {
    let mut ahead = cursor.clone();
    let rest = ahead.run(4, |octet| octet.is_ascii_digit());
    let first = char::from(first);
    let group = format!("{first}{rest}").parse().unwrap_or(usize::MAX);
    if !in_class && (group < 10 || group <= groups) {
        *cursor = ahead;
        return Ok(Escape::Group(group));
    }
    match first {
        '8' | '9' => Ok(Escape::Octet(first as u8)),
        _ => octal(first.encode_utf8(&mut [0; 4]), cursor, 2),
    }
}

/// `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`
fn group<'a>(cursor: &mut Cursor<'a>, groups: usize) -> Result<Escape<'a>, String> {
    let text = match cursor.take("{") {
        true => cursor.until("}").ok_or("missing } after \\g{")?,
        false => cursor.run(5, |octet| octet.is_ascii_digit() || matches!(octet, b'-' | b'+')),
    };
    let unknown = || format!("\\g{text} refers to no group");
    if let Some(back) = text.strip_prefix('-') {
        let back: usize = back.parse().map_err(|_| unknown())?;
        let group = (groups + 1).checked_sub(back).filter(|group| *group > 0 && back > 0);
        return group.map(Escape::Group).ok_or_else(unknown);
    }
    match text.parse::<usize>() {
        Ok(group) if group > 0 => Ok(Escape::Group(group)),
        Err(_) if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => Ok(Escape::Name(text)),
        _ => Err(unknown()),
    }
}

/// `\k<name>`, `\k'name'`, `\k{name}`
fn name<'a>(cursor: &mut Cursor<'a>) -> Result<Escape<'a>, String> {
    for (open, close) in [("<", ">"), ("'", "'"), ("{", "}")] {
        if cursor.take(open) {
            return cursor.until(close).map(Escape::Name).ok_or_else(|| format!("missing {close} after \\k{open}"));
        }
    }
    Err("\\k is not followed by a name in braces, brackets or quotes".into())
}

fn octal<'a>(first: &str, cursor: &mut Cursor<'_>, most: usize) -> Result<Escape<'a>, String> {
    let more = cursor.run(most, |octet| matches!(octet, b'0'..=b'7'));
    number(&format!("{first}{more}"), 8)
}

fn number<'a>(digits: &str, radix: u32) -> Result<Escape<'a>, String> {
    let octet = u8::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'));
    octet.map(Escape::Octet).ok_or_else(|| format!("\"{digits}\" is not the number of an octet"))
}
