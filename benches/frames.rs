//! Frames of the milter protocol: a length, a letter, and what belongs to it.

/// SMFIC_OPTNEG, and the answer to it.
pub const NEGOTIATION: u8 = b'O';
/// SMFIR_CONTINUE
pub const CONTINUE: u8 = b'c';

/// A whole frame.
pub fn frame(letter: u8, fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len() + 1).expect("short frames");
    [&length.to_be_bytes(), &[letter][..], fields].concat()
}

/// The letter of the frame at the front, and its length with its head; `None` while it is not whole.
pub fn split(octets: &[u8]) -> Option<(u8, usize)> {
    let (length, rest) = octets.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    Some((*rest.get(..length)?.first()?, length + 4))
}
