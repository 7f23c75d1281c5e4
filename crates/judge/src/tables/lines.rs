//! Logical lines of Postfix's table files: comments left out, continuations joined.

/// The logical lines of `text`, each with the number of its first physical line. A line that starts with white
/// space continues the one before; empty lines and lines whose first sign is `#` are passed over wherever they
/// stand.
pub(super) fn logical(text: &[u8]) -> impl Iterator<Item = (usize, Result<String, String>)> {
    let mut physical = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| counts(line)).peekable();
    std::iter::from_fn(move || {
        let (index, first) = physical.next()?;
        let mut line = first.to_vec();
        while let Some((_, more)) = physical.next_if(|(_, next)| next.first().is_some_and(u8::is_ascii_whitespace)) {
            line.extend_from_slice(more);
        }
        let line = String::from_utf8(line).map_err(|_| "not valid UTF-8: row ignored".to_owned());
        Some((index + 1, line.map(|line| line.trim_end().to_owned())))
    })
}

fn counts(line: &[u8]) -> bool {
    line.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'#')
}
