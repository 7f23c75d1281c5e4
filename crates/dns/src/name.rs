//! Names as they are asked and as they are shown: ASCII, nothing odd in it; lower-case where they are asked.

use std::borrow::Cow;
use std::fmt::Write as _;

use facts::hostname;

/// The longest name as text, without the trailing dot (RFC 1035 §3.1: 255 octets in a message).
const NAME_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

/// The ASCII form of an internationalised name (UTS 46, non-transitional, any ASCII character allowed), or `None`
/// if it has none. A name in ASCII passes unchanged.
#[must_use]
pub fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.is_ascii() {
        return Some(Cow::Borrowed(name));
    }
    idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::EMPTY).ok()
}

/// A domain as it is asked of the DNS: its ASCII form, if that is a host name.
#[must_use]
pub fn ascii_hostname(domain: &str) -> Option<Cow<'_, str>> {
    to_ascii(domain).filter(|name| hostname::is_hostname(name))
}

/// A domain as people write it, in lower case: what each A-label in it stands for (UTS 46, non-transitional; RFC 5890
/// §2.3.2.1). `None` if it is no host name, or an A-label stands for nothing that would lead back to it.
#[must_use]
pub fn unicode_hostname(domain: &str) -> Option<String> {
    let ascii = ascii_hostname(domain)?;
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    to_ascii(&unicode).is_some_and(|back| back.eq_ignore_ascii_case(&ascii)).then_some(unicode)
}

/// `name` in the form in which it is asked, or `None` if the DNS cannot hold it: a label empty or over 63 octets,
/// over 253 octets in all, blanks and control characters, or a backslash, which we only show.
pub(crate) fn canonical(name: &str) -> Option<String> {
    let name = to_ascii(name)?;
    let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
    is_canonical(&name).then_some(name)
}

/// Whether `name` is in the form in which it is asked. In one pass, as every lookup takes it.
pub(crate) fn is_canonical(name: &str) -> bool {
    let (mut all, mut before) = (0, DOT);
    for octet in name.bytes() {
        let kind = KINDS[usize::from(octet)];
        all |= kind | (kind & before) << 1;
        before = kind;
    }
    (all | before << 1) & (ODD | TWO_DOTS) == 0 && has_lengths(name)
}

/// Of an octet: it cannot stand in a name that is asked.
const ODD: u8 = 1;
/// Of an octet: it ends a label.
const DOT: u8 = 4;
/// Of a name: a label is empty. A dot beside a dot, moved by a bit.
const TWO_DOTS: u8 = DOT << 1;

/// The kind of each octet.
const KINDS: [u8; 256] = {
    let mut kinds = [ODD; 256];
    let mut octet = b'!';
    while octet < 0x7f {
        kinds[octet as usize] = match octet {
            b'\\' | b'A'..=b'Z' => ODD,
            b'.' => DOT,
            _ => 0,
        };
        octet += 1;
    }
    kinds
};

fn has_lengths(name: &str) -> bool {
    name.len() <= LABEL_LENGTH_MAX
        || name.len() <= NAME_LENGTH_MAX && name.split('.').all(|label| label.len() <= LABEL_LENGTH_MAX)
}

/// A name that cannot be asked, in a form that can be shown: its first 253 octets, escaped.
pub(crate) fn printable(name: &str) -> Box<str> {
    let mut text = String::new();
    for octet in name.bytes().take(NAME_LENGTH_MAX) {
        push_octet(&mut text, octet.to_ascii_lowercase());
    }
    text.into()
}

/// Labels joined to the text of a name. Octets that mean something in that text, or nothing that can be printed,
/// are written `\DDD` (RFC 1035 §5.1).
pub(crate) fn joined<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Box<str> {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push('.');
        }
        for octet in label {
            match octet {
                b'.' => text.push_str("\\046"),
                octet => push_octet(&mut text, *octet),
            }
        }
    }
    text.into()
}

fn push_octet(text: &mut String, octet: u8) {
    if octet.is_ascii_graphic() && octet != b'\\' {
        text.push(octet.into());
    } else {
        write!(text, "\\{octet:03}").expect("a string takes whatever is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_asked() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        for (name, asked) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("_dmarc.x_y.example", "_dmarc.x_y.example"),
            ("*.example", "*.example"),
            ("a+b=c@d.example", "a+b=c@d.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("straße.example.", "xn--strae-oqa.example"),
            ("_dmarc.BÜCHER。example", "_dmarc.xn--bcher-kva.example"),
            (&longest, &longest),
        ] {
            assert_eq!(canonical(name).as_deref(), Some(asked), "{name}");
        }
    }

    #[test]
    fn names_as_people_write_them() {
        for (name, unicode) in [
            ("xn--bcher-kva.Example", Some("bücher.example")),
            ("BÜCHER.example", Some("bücher.example")),
            ("mx_1.example", Some("mx_1.example")),
            ("xn--123456.example", None),
            // What it stands for would be another A-label.
            ("xn--xn--xn--viii", None),
            ("bad-.example", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(unicode_hostname(name).as_deref(), unicode, "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_asked() {
        let long_label = "a".repeat(64);
        let too_long = format!("{}b", "a.".repeat(127));
        for name in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "a b",
            "a\0b",
            "a\\.b",
            "a\u{7f}",
            "a\u{fffd}b.example",
            "xn--a\u{308}.example",
            &long_label,
            &too_long,
        ] {
            assert_eq!(canonical(name), None, "{name:?}");
        }
    }

    #[test]
    fn odd_octets_are_shown_escaped() {
        assert_eq!(&*joined([&b"A b"[..], b"c.d", b"e\\f", b"\0\xff\n"]), "A\\032b.c\\046d.e\\092f.\\000\\255\\010");
        assert_eq!(&*joined([]), "");
        assert_eq!(&*printable("Ä b..c"), "\\195\\132\\032b..c");
    }
}
