//! Patterns of IPv4 addresses in Postfix's notation: `127.0.[0..255].[1;3]`.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A pattern of four fields, each a number or a `[]` sequence of numbers and ranges (Postfix: postconf(5),
/// `reject_rbl_client`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPattern {
    fields: [Vec<RangeInclusive<u8>>; 4],
}

impl AddressPattern {
    /// Whether `address` fits in every field.
    #[must_use]
    pub fn matches(&self, address: Ipv4Addr) -> bool {
        self.fields
            .iter()
            .zip(address.octets())
            .all(|(ranges, octet)| ranges.iter().any(|range| range.contains(&octet)))
    }
}

impl FromStr for AddressPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = strip_outer_brackets(text);
        let fields = split_fields(bare)
            .iter()
            .map(|field| {
                parse_field(field).ok_or_else(|| {
                    format!("\"{field}\" in \"{text}\" is not a number from 0 to 255 or a sequence like [2;4..11]")
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let fields = fields
            .try_into()
            .map_err(|_| format!("\"{text}\" is not a pattern of four fields like 127.0.0.[2..11]"))?;
        Ok(Self { fields })
    }
}

/// `[127.0.0.[2..11]]` is the same as `127.0.0.[2..11]`.
fn strip_outer_brackets(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let mut depth = 0_i32;
    let balanced = inner.chars().all(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth >= 0
    });
    if balanced { inner } else { text }
}

/// At the dots outside of brackets.
fn split_fields(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        inside = (inside || c == '[') && c != ']';
        c == '.' && !inside
    })
    .collect()
}

fn parse_field(field: &str) -> Option<Vec<RangeInclusive<u8>>> {
    let Some(sequence) = field.strip_prefix('[') else {
        return octet(field).map(|octet| vec![octet..=octet]);
    };
    sequence.strip_suffix(']')?.split(';').map(parse_range).collect()
}

fn parse_range(text: &str) -> Option<RangeInclusive<u8>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let range = octet(first)?..=octet(last)?;
    (!range.is_empty()).then_some(range)
}

fn octet(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, address, expected) in [
            ("127.0.0.2", "127.0.0.2", true),
            ("127.0.0.2", "127.0.0.3", false),
            ("127.0.[0..255].[1..3]", "127.0.9.3", true),
            ("127.0.[0..255].[1..3]", "127.0.9.4", false),
            ("127.0.0.[2;4..6;9]", "127.0.0.9", true),
            ("[127].0.0.[2]", "127.0.0.2", true),
            ("[127.0.0.[2..4]]", "127.0.0.3", true),
            ("[127.0.0.1]", "127.0.0.1", true),
        ] {
            let parsed: AddressPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(address.parse().unwrap()), expected, "{pattern} {address}");
        }
        for bad in [
            "",
            "127.0.0",
            "127.0.0.0.1",
            "127.0.0.256",
            "127.0.0.[3..2]",
            "127.0.0.[2,3]",
            "127.0.0.3[6..9]",
            "127.0.[0.1]",
            "127.0.0.[2",
            "127.0.0.[]",
            "127.0.0.+2",
        ] {
            assert!(bad.parse::<AddressPattern>().is_err(), "{bad}");
        }
    }
}
