//! Under which key something is remembered: a keyed hash of its names.

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::greylist::{Attempt, Seconds, Terms, unix};

/// Longer names are not kept, only their hash: they would be a stranger's way to fill memory and file.
pub(crate) const NAMES_MAX: usize = 1_024;

/// The secret of this store: without it nobody can find names that share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret(pub [u8; 16]);

/// What the key belongs to; the same names of another kind have another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Triplet,
    Client,
    Correspondent,
}

/// The hash of names, 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub u128);

/// The first 40 bits of a key: by these the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Print(pub u64);

/// A key, with the names that belong to it in their written form.
#[derive(Debug)]
pub(crate) struct Named {
    pub key: Key,
    pub names: Vec<u8>,
}

/// An attempt, with the keys that belong to it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub now: Seconds,
    pub terms: Terms,
    pub client: Named,
    pub triplet: Named,
}

impl Secret {
    /// From the system's random numbers, which the standard library's hash tables take their keys from.
    pub(crate) fn random() -> Self {
        let random = RandomState::new();
        let mut octets = [0; 16];
        for (part, half) in octets.chunks_exact_mut(8).zip(0_u8..) {
            part.copy_from_slice(&random.hash_one(half).to_le_bytes());
        }
        Self(octets)
    }

    /// The attempt under its keys.
    pub(crate) fn asked(&self, attempt: &Attempt<'_>) -> Asked {
        let &Attempt { client, network, sender, recipient, now, terms, .. } = attempt;
        Asked {
            now: unix(now),
            terms: *terms,
            client: self.named(Kind::Client, [client, "", ""], !terms.privacy),
            triplet: self.named(Kind::Triplet, [network, sender, recipient], !terms.privacy),
        }
    }

    /// The key of `names`, whatever the case of their ASCII letters; a client has only one.
    pub(crate) fn named(&self, kind: Kind, names: [&str; 3], keep: bool) -> Named {
        let mut written = write_names(names);
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&[kind as u8]);
        hasher.write(&written);
        let key = Key(hasher.finish128().as_u128());
        if !keep || written.len() > NAMES_MAX {
            written.clear();
        }
        Named { key, names: written }
    }
}

impl Key {
    pub(crate) fn print(self) -> Print {
        Print((self.0 >> 88) as u64)
    }
}

impl Print {
    pub(crate) fn octets(self) -> [u8; 5] {
        let [a, b, c, d, e, ..] = self.0.to_le_bytes();
        [a, b, c, d, e]
    }

    pub(crate) fn from_octets([a, b, c, d, e]: [u8; 5]) -> Self {
        Self(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }

    pub(crate) fn shard(self) -> u8 {
        (self.0 >> 32) as u8
    }

    pub(crate) fn fingerprint(self) -> u32 {
        self.0 as u32
    }
}

/// The lengths of the first two, then all three. No two triplets are written alike.
fn write_names(names: [&str; 3]) -> Vec<u8> {
    let [first, second, third] = names.map(str::as_bytes);
    let mut written = Vec::with_capacity(4 + first.len() + second.len() + third.len());
    for part in [first, second] {
        written.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
    }
    for part in [first, second, third] {
        written.extend_from_slice(part);
    }
    written.make_ascii_lowercase();
    written
}

/// The names as they were written; empty ones where only their hash was kept, nothing where the file is damaged.
pub(crate) fn read_names(written: &[u8]) -> Option<[&str; 3]> {
    if written.is_empty() {
        return Some([""; 3]);
    }
    let (first_len, rest) = written.split_first_chunk()?;
    let (second_len, rest) = rest.split_first_chunk()?;
    let rest = str::from_utf8(rest).ok()?;
    let (first, rest) = rest.split_at_checked(u16::from_le_bytes(*first_len).into())?;
    let (second, third) = rest.split_at_checked(u16::from_le_bytes(*second_len).into())?;
    Some([first, second, third])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_were() {
        let secret = Secret::random();
        for (names, kept) in [
            (["192.0.2.0", "A@Example.COM", "b@example.org"], ["192.0.2.0", "a@example.com", "b@example.org"]),
            (["", "", ""], ["", "", ""]),
            (["192.0.2.0", "", "ü@example.org"], ["192.0.2.0", "", "ü@example.org"]),
        ] {
            assert_eq!(read_names(&secret.named(Kind::Triplet, names, true).names), Some(kept));
            assert_eq!(read_names(&secret.named(Kind::Triplet, names, false).names), Some([""; 3]));
        }
        let long = "x".repeat(NAMES_MAX);
        assert_eq!(read_names(&secret.named(Kind::Triplet, [&long, "", ""], true).names), Some([""; 3]));
        assert_eq!(read_names(&[9, 0, 9, 0, b'x']), None);
    }

    #[test]
    fn keys_tell_apart_what_differs() {
        let secret = Secret::random();
        let key = |kind, names| secret.named(kind, names, true).key;
        let one = key(Kind::Triplet, ["a", "b", "c"]);
        assert_eq!(one, key(Kind::Triplet, ["A", "B", "C"]));
        assert_eq!(one, secret.named(Kind::Triplet, ["a", "b", "c"], false).key);
        for other in [["ab", "", "c"], ["a", "bc", ""], ["", "ab", "c"], ["a", "b", "d"]] {
            assert_ne!(one, key(Kind::Triplet, other));
        }
        assert_ne!(one, key(Kind::Client, ["a", "b", "c"]));
        assert_ne!(one, Secret::random().named(Kind::Triplet, ["a", "b", "c"], true).key);
        assert_eq!(Print::from_octets(one.print().octets()), one.print());
    }
}
