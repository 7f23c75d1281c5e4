//! The syntax of host names and literal addresses, as Postfix judges it (valid_hostname(3)).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// The longest host name, in octets (Postfix: `VALID_HOSTNAME_LEN`; RFC 1035 §2.3.4).
pub const HOSTNAME_LENGTH_MAX: usize = 255;
/// The longest label of a host name, in octets (RFC 1035 §2.3.4).
pub const LABEL_LENGTH_MAX: usize = 63;
/// The longest text of an address.
const ADDRESS_LENGTH_MAX: usize = 45;

/// Whether `name` is a host name: letters, digits, `-` and `_` in labels of 1 to 63 octets, at most 255 in all,
/// no hyphen at a label's edge, no trailing dot, and not digits and dots alone.
///
/// The underscore is Postfix's concession to real names; everything else is RFC 1123 §2.1.
#[must_use]
pub fn is_hostname(name: &str) -> bool {
    let (mut all, mut pairs, mut before) = (0, 0, DOT);
    // In one pass without a turn: every decision does this to several names.
    for byte in name.bytes() {
        let kind = KINDS[usize::from(byte)];
        all |= kind;
        pairs |= before >> 2 & kind;
        before = kind;
    }
    pairs |= before >> 2 & DOT;
    let has_lengths = name.len() <= LABEL_LENGTH_MAX
        || name.len() <= HOSTNAME_LENGTH_MAX && name.split('.').all(|label| label.len() <= LABEL_LENGTH_MAX);
    all & (ODD | WORD) == WORD && pairs & PAIRS == 0 && has_lengths
}

/// Of an octet: it cannot stand in a host name.
const ODD: u8 = 32;
/// Of an octet: it makes a host name more than digits and dots.
const WORD: u8 = 16;
// Neither a dot nor a hyphen may follow a dot, and no dot a hyphen. The two upper bits say what an octet is before
// another, the two lower ones after which others it must not stand.
const DOT: u8 = 0b0111;
const HYPHEN: u8 = WORD | 0b1001;
/// Of two octets side by side: they must not be.
const PAIRS: u8 = 0b0011;

/// The kind of each octet.
const KINDS: [u8; 256] = {
    let mut kinds = [ODD; 256];
    let mut octet = 0;
    while octet < 128 {
        kinds[octet as usize] = match octet {
            b'.' => DOT,
            b'-' => HYPHEN,
            b'0'..=b'9' => 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => WORD,
            _ => ODD,
        };
        octet += 1;
    }
    kinds
};

/// Whether `text` is an address in numbers: IPv4 with four plain octets, or IPv6 (Postfix: valid_hostaddr(3)).
#[must_use]
pub fn is_address(text: &str) -> bool {
    if text.contains(':') { is_ipv6(text) } else { is_ipv4(text) }
}

/// Whether `text` is the inside of an SMTP address literal (RFC 5321 §4.1.3): an IPv4 address, or an
/// IPv6 address with its `IPv6:` tag (Postfix: valid_mailhost_addr(3)).
#[must_use]
pub fn is_literal_address(text: &str) -> bool {
    match strip_ipv6_tag(text) {
        Some(rest) => is_ipv6(rest),
        None => is_ipv4(text),
    }
}

/// What follows the `IPv6:` tag of an address literal, in any case.
#[must_use]
pub fn strip_ipv6_tag(text: &str) -> Option<&str> {
    let (tag, rest) = text.split_at_checked("IPv6:".len())?;
    tag.eq_ignore_ascii_case("IPv6:").then_some(rest)
}

/// The address that `text` stands for, with the leading zeros in octets that Postfix lets pass.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') { text.parse().ok() } else { parse_ipv4(text).map(IpAddr::V4) }
}

/// `address` as text.
#[must_use]
pub fn address_text(address: IpAddr) -> String {
    let mut text = String::with_capacity(ADDRESS_LENGTH_MAX);
    push_address(&mut text, address);
    text
}

/// Appends `address` as text. By hand for IPv4, as it is done several times for each decision.
pub fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "." });
                push_octet(text, octet);
            }
        }
        IpAddr::V6(address) => write!(text, "{address}").expect("a string takes whatever is written"),
    }
}

/// Appends `octet` as a decimal number.
pub fn push_octet(text: &mut String, octet: u8) {
    let digit = |digit: u8| char::from(b'0' + digit);
    if octet >= 100 {
        text.push(digit(octet / 100));
    }
    if octet >= 10 {
        text.push(digit(octet / 10 % 10));
    }
    text.push(digit(octet % 10));
}

fn is_ipv4(text: &str) -> bool {
    // "0.0.0.0" is a wildcard that Postfix knows; any other address in network 0 is a mistake.
    parse_ipv4(text).is_some_and(|address| address.octets()[0] != 0 || address.is_unspecified())
}

fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let (mut octets, mut index, mut digits) = ([0_u8; 4], 0, 0);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                octets[index] = octets[index].checked_mul(10)?.checked_add(byte - b'0')?;
                digits += 1;
            }
            b'.' if digits > 0 && index < 3 => (index, digits) = (index + 1, 0),
            _ => return None,
        }
    }
    (index == 3 && digits > 0).then(|| octets.into())
}

/// Postfix asks for two to seven colons, not for eight fields: `1:2:3` passes.
fn is_ipv6(text: &str) -> bool {
    let colons = text.bytes().filter(|byte| *byte == b':').count();
    let (head, last) = text.rsplit_once(':').unwrap_or_default();
    let gap = text.find("::");
    let one_gap_at_most = !text.contains(":::") && text.rfind("::") == gap;
    let whole_at_the_edges =
        (!text.starts_with(':') || gap == Some(0)) && (!last.is_empty() || gap == Some(text.len().saturating_sub(2)));
    let is_field = |field: &str| field.len() <= 4 && field.bytes().all(|byte| byte.is_ascii_hexdigit());
    (2..=7).contains(&colons)
        && one_gap_at_most
        && whole_at_the_edges
        && head.split(':').all(is_field)
        && if last.contains('.') { colons <= 6 && is_ipv4(last) } else { is_field(last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_as_postfix_sees_them() {
        let long_label = "a".repeat(64);
        for good in ["a", "localhost", "mx_1.example.com", "1.2.3.x", "xn--1xa.example", &"a".repeat(63)] {
            assert!(is_hostname(good), "{good}");
        }
        let too_long = format!("{}a", "abcdefgh.".repeat(29));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "1.2.3.4",
            "12",
            "a b",
            "ä.example",
            &long_label,
            &too_long,
        ] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_in_numbers() {
        for good in [
            "1.2.3.4",
            "0.0.0.0",
            "01.002.3.4",
            "255.255.255.255",
            "::1",
            "2001:db8::1",
            "::ffff:1.2.3.4",
            "::",
            "1:2:3",
            "1::",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "0.1.2.3",
            "1.2.3.",
            "1.2.3.4x",
            ":1",
            "1:",
            "1::2::3",
            "12345::",
            "::1.2.3",
            ":::",
            "1:2:3:4:5:6:7:8:9",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert_eq!(parse_address("010.001.0.00"), Some("10.1.0.0".parse().unwrap()));
    }

    #[test]
    fn addresses_as_text() {
        for expected in ["0.0.0.0", "9.10.99.100", "255.200.5.50", "::", "2001:db8::1"] {
            assert_eq!(address_text(expected.parse().unwrap()), expected);
        }
    }

    #[test]
    fn literals_take_the_tag_in_any_case() {
        assert!(is_literal_address("ipv6:2001:db8::1"));
        assert!(is_literal_address("192.0.2.1"));
        assert!(!is_literal_address("IPv6:192.0.2.1"));
    }
}
