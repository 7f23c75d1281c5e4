//! What strangers said, the DNS among them, made fit to be shown on a terminal.

use std::borrow::Cow;

/// `text` with whatever could move a cursor or turn the writing spelt out: it may come from a stranger.
pub fn visible(text: &str) -> Cow<'_, str> {
    // Bidirectional controls (Unicode Standard Annex 9) make a name look like another.
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hides) {
        return text.into();
    }
    text.chars().map(|c| if hides(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_move_the_cursor() {
        assert_eq!(visible("mx.example.com"), "mx.example.com");
        assert_eq!(visible("a\u{1b}[2Jb\r\nc\u{9b}d"), "a\\u{1b}[2Jb\\r\\nc\\u{9b}d");
        // Nor turn the direction in which it writes.
        assert_eq!(visible("a\u{202e}b"), "a\\u{202e}b");
    }
}
