//! How an entry stands in Valkey: ten octets that say what it is, then its names.

use crate::admin::Remembered;
use crate::engine::Row;
use crate::greylist::{Seconds, Terms};
use crate::key::Kind;

/// How much of a value says what it is: what one host compares to know whether another has changed it.
pub(crate) const HEAD: usize = 10;

const VERSION: u8 = 1;

/// Valkey keeps an entry so much longer than it counts, in seconds: the clocks of the hosts may differ.
const GRACE: i64 = 3_600;

/// Why a value counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a newer version wrote it")]
    Newer,
    #[error("it is damaged")]
    Damaged,
}

/// Version, tag, two numbers, these little-endian.
pub(crate) fn head(row: Row) -> [u8; HEAD] {
    let (tag, one, other) = row.numbers();
    let mut head = [VERSION; HEAD];
    let numbers = [tag].into_iter().chain(one.to_le_bytes()).chain(other.to_le_bytes());
    head.iter_mut().skip(1).zip(numbers).for_each(|(octet, number)| *octet = number);
    head
}

/// The whole value.
pub(crate) fn write(row: Row, names: &[u8]) -> Vec<u8> {
    [&head(row), names].concat()
}

/// What of a value says what it is.
pub(crate) fn head_of(value: &[u8]) -> &[u8] {
    value.get(..HEAD).unwrap_or(value)
}

/// The entry that `value` is.
pub(crate) fn read(value: &[u8]) -> Result<Remembered, Unreadable> {
    match value.split_first() {
        Some((&VERSION, rest)) => read_first(rest).ok_or(Unreadable::Damaged),
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer),
        _ => Err(Unreadable::Damaged),
    }
}

fn read_first(value: &[u8]) -> Option<Remembered> {
    let (tag, rest) = value.split_first()?;
    let (one, rest) = rest.split_first_chunk()?;
    let (other, names) = rest.split_first_chunk()?;
    let row = Row::from_numbers(*tag, u32::from_le_bytes(*one), u32::from_le_bytes(*other))?;
    Some(Remembered { row, names: names.to_vec() })
}

/// For the fuzz target: any octets are an entry that is written as it was read, or none; and a ban that is, or none.
#[cfg(fuzzing)]
pub fn read_anything(value: &[u8]) {
    if let Ok(Remembered { row, names }) = read(value) {
        assert_eq!(write(row, &names), value);
        assert_eq!(head(row), head_of(value));
        let _ = crate::key::read_names(&names);
    }
    let network = facts::Network::containing(std::net::Ipv4Addr::LOCALHOST.into(), 32).expect("an address has 32 bits");
    if let Some(ban) = crate::ban::Ban::read(network, value) {
        assert_eq!(crate::ban::Ban::read(network, &ban.write()), Some(ban));
    }
}

/// To what an entry belongs.
pub(crate) fn kind(row: Row) -> Kind {
    match row {
        Row::Triplet(_) => Kind::Triplet,
        Row::Client(_) => Kind::Client,
    }
}

/// For how many seconds Valkey has to keep it. Whether it still counts is said by our own rule alone.
pub(crate) fn keep_for(row: Row, now: Seconds, terms: &Terms) -> i64 {
    row.expires(terms).saturating_sub(now.into()).max(0).saturating_add(GRACE)
}

/// One entry of what two hosts remember under the same key.
pub(crate) fn merged(one: Row, other: Row) -> Row {
    match (one, other) {
        (Row::Triplet(one), Row::Triplet(other)) => Row::Triplet(one.merged(other)),
        (Row::Client(one), Row::Client(other)) => Row::Client(one.merged(other)),
        (one, _) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::greylist::{Client, Triplet};

    #[test]
    fn a_value_is_what_was_written() {
        let secret = crate::key::Secret::random();
        let names = secret.named(Kind::Triplet, ["192.0.2.0", "a@b.example", ""], true).names;
        for row in [
            Row::Triplet(Triplet { first: 1, last: u32::MAX, passed: false }),
            Row::Triplet(Triplet { first: 7, last: 8, passed: true }),
            Row::Client(Client { count: 5, last: 9 }),
        ] {
            let value = write(row, &names);
            assert_eq!(head_of(&value), head(row));
            let found = read(&value).unwrap();
            assert_eq!((found.row, found.names), (row, names.clone()));
            for cut in 0..HEAD {
                assert_eq!(read(&value[..cut]).unwrap_err(), Unreadable::Damaged, "{cut}");
                assert_eq!(head_of(&value[..cut]), &value[..cut]);
            }
        }
        assert_eq!(read(&[2, 0]).unwrap_err(), Unreadable::Newer);
        assert_eq!(read(&[0; 20]).unwrap_err(), Unreadable::Damaged);
        assert_eq!(read(&[1; 1]).unwrap_err(), Unreadable::Damaged);
        assert_eq!(read(&[1, 99, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn what_two_hosts_remember_becomes_one() {
        let triplet = |first, last, passed| Row::Triplet(Triplet { first, last, passed });
        let client = |count, last| Row::Client(Client { count, last });
        for (one, other, expected) in [
            (triplet(5, 6, false), triplet(1, 9, true), triplet(1, 9, true)),
            (triplet(1, 9, true), triplet(5, 12, false), triplet(1, 12, true)),
            (client(3, 50), client(2, 90), client(3, 90)),
            (client(3, 50), triplet(1, 2, true), client(3, 50)),
        ] {
            assert_eq!(merged(one, other), expected);
        }
    }

    #[test]
    fn valkey_keeps_what_still_counts() {
        let terms = Terms {
            delay: std::time::Duration::from_secs(300),
            retry_window: std::time::Duration::from_secs(1_000),
            max_age: std::time::Duration::from_secs(9_000),
            ..Terms::POSTGREY
        };
        for (row, now, expected) in [
            (Row::Triplet(Triplet { first: 100, last: 150, passed: false }), 150, 950),
            (Row::Triplet(Triplet { first: 100, last: 400, passed: true }), 400, 9_000),
            (Row::Triplet(Triplet { first: 100, last: 150, passed: false }), 5_000, 0),
            (Row::Client(Client { count: 1, last: 100 }), 600, 8_500),
        ] {
            assert_eq!(keep_for(row, now, &terms), expected + GRACE);
            assert!(!row.expired(now.max((i64::from(now) + expected) as u32), &terms) || expected == 0);
        }
    }
}
