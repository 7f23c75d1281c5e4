//! Braces in the names of tables and in arguments: `unionmap:{hash:/a, inline:{key=value}}`.

/// What is inside of the pair of braces that the whole of `text` is.
pub(crate) fn inside(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut depth = 0_usize;
    for byte in inside.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    (depth == 0).then_some(inside)
}

/// The words of `text`, parted by commas and white space outside of braces.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c: char| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && (c == ',' || c.is_ascii_whitespace())
    })
    .filter(|word| !word.is_empty())
}
