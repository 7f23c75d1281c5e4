//! The words of a list, as they stand in main.cf and in TOML strings.

use toml::Spanned;

use crate::place::Place;

/// One word of a list, and where it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    /// `None` for what no file holds.
    pub(super) place: Option<Place>,
}

/// The words of one string: parted by white space and commas outside of braces. Lines that begin with `#` are comments,
/// as they are between the lines of a parameter in main.cf.
pub(super) fn words(quoted: &Spanned<String>) -> Vec<Word> {
    let whole = quoted.get_ref().as_str();
    let mut words = Vec::new();
    let mut rest = whole.trim_start_matches(is_separator);
    while !rest.is_empty() {
        let at = whole.len() - rest.len();
        let is_comment = rest.starts_with('#') && whole[..at].trim_end_matches([' ', '\t']).ends_with('\n');
        let end = if is_comment { rest.find('\n') } else { word_end(rest) }.unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        if !is_comment {
            let place = Place::of(quoted.span()).map(|value| value.part(at..at + text.len()));
            words.push(Word { text: text.to_owned(), place });
        }
        rest = after.trim_start_matches(is_separator);
    }
    words
}

fn word_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.find(|c| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && is_separator(c)
    })
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = words(&Spanned::new(0..0, text.to_owned())).into_iter().map(|word| word.text).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn words_of_main_cf() {
        check("", &[]);
        check(" , \n", &[]);
        check("a, b c,,d", &["a", "b", "c", "d"]);
        check("\n    a,\n    b\n", &["a", "b"]);
        check("\n a\n# not this\n  # nor this, one\n b # c\n#", &["a", "b", "#", "c"]);
        check("inline:{a = b, {c = d e}} f", &["inline:{a = b, {c = d e}}", "f"]);
        check("{ a", &["{ a"]);
    }

    #[test]
    fn words_know_where_they_stand() {
        for (value, expected) in [
            (r#""a, b""#, "b"),
            (r#""""a, b""""#, "b"),
            ("\"\"\"\na, b\"\"\"", "b"),
            ("'''\na, b'''", "b"),
            (r"'\a, b'", "b"),
            (r#""a, b\n\n\n\n""#, "b"),
            // Where escapes stand before it, the whole string.
            (r#""\u00e4, b""#, r#""\u00e4, b""#),
            (r#""ä\"\"\"\", b""#, r#""ä\"\"\"\", b""#),
            ("\"\"\"a,\r\nb\"\"\"", "\"\"\"a,\r\nb\"\"\""),
        ] {
            let file = format!("x = {value}");
            let table: std::collections::BTreeMap<String, Spanned<String>> = toml::from_str(&file).unwrap();
            let place = words(&table["x"])[1].place.clone().unwrap();
            assert_eq!(file.get(place.within(&file)), Some(expected), "{file:?}");
        }
    }
}
