//! How an entry stands in a block of the file.

use crate::greylist::{Client, Seconds, Terms, Triplet};
use crate::key::Key;

/// What is remembered under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Triplet(Triplet),
    Client(Client),
}

/// An entry of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub key: Key,
    pub row: Row,
    pub names: &'a [u8],
}

/// The file does not hold what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry cannot be read")]
pub(crate) struct Damaged;

impl Row {
    pub(crate) fn triplet(self) -> Option<Triplet> {
        if let Self::Triplet(triplet) = self { Some(triplet) } else { None }
    }

    pub(crate) fn client(self) -> Option<Client> {
        if let Self::Client(client) = self { Some(client) } else { None }
    }

    pub(crate) fn expired(self, now: Seconds, terms: &Terms) -> bool {
        match self {
            Self::Triplet(triplet) => triplet.expired(now, terms),
            Self::Client(client) => client.expired(now, terms),
        }
    }

    /// The last second in which it counts.
    pub(crate) fn expires(self, terms: &Terms) -> i64 {
        match self {
            Self::Triplet(triplet) => triplet.expires(terms),
            Self::Client(client) => client.expires(terms),
        }
    }

    /// A tag and two numbers.
    pub(crate) fn numbers(self) -> (u8, u32, u32) {
        match self {
            Self::Triplet(Triplet { first, last, passed: false }) => (0, first, last),
            Self::Triplet(Triplet { first, last, passed: true }) => (1, first, last),
            Self::Client(Client { count, last }) => (2, count, last),
        }
    }

    pub(crate) fn from_numbers(tag: u8, one: u32, other: u32) -> Option<Self> {
        match tag {
            0 | 1 => Some(Self::Triplet(Triplet { first: one, last: other, passed: tag == 1 })),
            2 => Some(Self::Client(Client { count: one, last: other })),
            _ => None,
        }
    }
}

impl Record<'_> {
    /// Key, tag, two numbers, the length of the names: all little-endian; then the names.
    pub(crate) fn write(&self, block: &mut Vec<u8>) {
        let (tag, one, other) = self.row.numbers();
        block.extend_from_slice(&self.key.0.to_le_bytes());
        block.push(tag);
        block.extend_from_slice(&one.to_le_bytes());
        block.extend_from_slice(&other.to_le_bytes());
        block.extend_from_slice(&(self.names.len() as u16).to_le_bytes());
        block.extend_from_slice(self.names);
    }

    /// How many octets it takes.
    pub(crate) fn len(&self) -> usize {
        16 + 1 + 4 + 4 + 2 + self.names.len()
    }
}

/// The next entry of a block, which is cut off from it; nothing at its end.
pub(crate) fn next<'a>(block: &mut &'a [u8]) -> Result<Option<Record<'a>>, Damaged> {
    if block.is_empty() {
        return Ok(None);
    }
    let (record, rest) = split(block).ok_or(Damaged)?;
    *block = rest;
    Ok(Some(record))
}

fn split(block: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (key, rest) = block.split_first_chunk()?;
    let (tag, rest) = rest.split_first()?;
    let (one, rest) = rest.split_first_chunk()?;
    let (other, rest) = rest.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (names, rest) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    let row = Row::from_numbers(*tag, u32::from_le_bytes(*one), u32::from_le_bytes(*other))?;
    Some((Record { key: Key(u128::from_le_bytes(*key)), row, names }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_what_was_written() {
        let rows = [
            Row::Triplet(Triplet { first: 1, last: u32::MAX, passed: false }),
            Row::Triplet(Triplet { first: 7, last: 8, passed: true }),
            Row::Client(Client { count: 5, last: 9 }),
        ];
        let written = rows.map(|row| Record { key: Key(u128::MAX - 3), row, names: b"names" });
        let mut block = Vec::new();
        written.iter().for_each(|record| record.write(&mut block));
        assert_eq!(block.len(), written.iter().map(Record::len).sum::<usize>());
        let mut rest = block.as_slice();
        for record in written {
            assert_eq!(next(&mut rest), Ok(Some(record)));
        }
        assert_eq!(next(&mut rest), Ok(None));

        for cut in 1..written[0].len() {
            assert_eq!(next(&mut block.get(..cut).unwrap()), Err(Damaged), "{cut}");
        }
        block[16] = 3;
        assert_eq!(next(&mut block.as_slice()), Err(Damaged));
    }
}
