//! Blocks: what is written at once, framed by its length and its checksum, so that what is torn or damaged is known for
//! what it is.
//!
//! A file is a line that says what it holds, then blocks. A block stands for itself: whatever its records name by number
//! stands in front of them. So damage costs one block, and the next one is read again.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::codec::{Field, In};

/// A block ends when it has so many octets: what damage may cost.
pub(crate) const BLOCK_SIZE: usize = 64 << 10;
/// No block is longer; whatever claims to be is damaged.
const BLOCK_MAX: usize = 4 << 20;

/// Length and checksum.
const HEAD: usize = 8;

/// Appends a block: what `write` appends.
pub(crate) fn push(octets: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = octets.len();
    octets.extend_from_slice(&[0; HEAD]);
    write(octets);
    let Some((head, block)) = octets.get_mut(start..).and_then(|all| all.split_at_mut_checked(HEAD)) else { return };
    let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
    for (place, octet) in head.iter_mut().zip(length.to_le_bytes().into_iter().chain(checksum(block))) {
        *place = octet;
    }
}

/// The same octets have the same checksum on every machine, for good.
pub(crate) fn checksum(block: &[u8]) -> [u8; 4] {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(block);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d]
}

/// One step through blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A block that is whole.
    Block(&'a [u8]),
    /// A block that is not what was written: it is passed over.
    Damaged,
    /// Nothing further can be read: even the length is damaged.
    Lost,
}

/// The blocks of a file, the line at its start left out.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    pub(crate) fn of(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// What follows the blocks so far: at the end a block that is still being written, or never was to its end.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Next<'a>;

    fn next(&mut self) -> Option<Next<'a>> {
        let mut from = In::new(self.rest);
        let length = u32::from_le_bytes(from.array()?) as usize;
        let sum: [u8; 4] = from.array()?;
        if length == 0 || length > BLOCK_MAX {
            self.rest = &[];
            return Some(Next::Lost);
        }
        let block = from.octets(length)?;
        self.rest = from.rest;
        Some(if checksum(block) == sum { Next::Block(block) } else { Next::Damaged })
    }
}

/// Gives the records of a block to `read`, one after the other. Whether all could be read.
pub(crate) fn records(block: &[u8], mut read: impl FnMut(&mut In<'_>) -> Option<()>) -> bool {
    let Some((terms, rest)) = In::terms_of(block) else { return false };
    let mut from = In::new(rest).with(&terms, &[]);
    let Some(outlines) = Vec::read(&mut from) else { return false };
    let mut from = from.with(&terms, &outlines);
    let mut whole = true;
    while !from.rest.is_empty() {
        let Some(mut record) = from.record() else { return false };
        whole &= read(&mut record).is_some();
    }
    whole
}
