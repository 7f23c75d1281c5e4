//! What strangers said, the DNS among them, made fit to be shown on a terminal.

use std::borrow::Cow;

use facts::domain_of;

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

/// What the domain of a name or of an address stands for, to be shown after it: ` (bücher.example)` after
/// `xn--bcher-kva.example`. Nothing where the domain says it itself.
pub fn in_letters(text: &str) -> String {
    let domain = domain_of(text).unwrap_or(text);
    let unicode = dns::unicode_hostname(domain).filter(|unicode| domain.is_ascii() && !unicode.is_ascii());
    unicode.map_or_else(String::new, |unicode| format!(" ({})", visible(&unicode)))
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

    #[test]
    fn names_in_letters() {
        for (text, letters) in [
            ("xn--bcher-kva.example", " (bücher.example)"),
            ("a@XN--BCHER-KVA.example", " (bücher.example)"),
            // It looks like another name.
            ("xn--exmple-4nf.org", " (ex\u{430}mple.org)"),
            ("bücher.example", ""),
            ("mx.example.com", ""),
            ("xn--123456.example", ""),
            ("[192.0.2.1]", ""),
            ("", ""),
        ] {
            assert_eq!(in_letters(text), letters, "{text}");
        }
    }
}
