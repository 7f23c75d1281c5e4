//! Bytes to facts and back: protocols as pure functions, without I/O and without waiting.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod milter;
pub mod policy;

/// Appends `text` to `out`; control characters become spaces, so that it stays one line.
fn push_printable(text: &str, out: &mut Vec<u8>) {
    // All octets are looked at, whatever the first ones are: so the compiler takes many at once.
    if text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(text.as_bytes());
    } else {
        let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        out.extend_from_slice(printable.as_bytes());
    }
}
