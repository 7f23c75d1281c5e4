//! A mail address as it stands in an envelope.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A mail address in its internal form: no angle brackets, no quotes around the local part, as Postfix hands it on.
/// The null sender `<>` is no address: where it may stand, the field is an `Option`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: Arc<str>,
    /// Where the last `@` stands: a quoted local part may hold others.
    at: Option<usize>,
}

/// What stands after the last `@` of `text`, if there is one.
#[must_use]
pub fn domain_of(text: &str) -> Option<&str> {
    last_at(text).map(|at| &text[at + 1..])
}

/// No search for a character: addresses are too short to be worth its preparations.
fn last_at(text: &str) -> Option<usize> {
    text.bytes().rposition(|byte| byte == b'@')
}

impl EmailAddress {
    /// The address that `text` spells, or `None` for an empty one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self { text: text.into(), at: last_at(text) })
    }

    /// The whole address, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the last `@`, or everything.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.at.map_or(&*self.text, |at| &self.text[..at])
    }

    /// What stands after the last `@`. May be empty, an address literal, or no valid name at all.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.at.map(|at| &self.text[at + 1..])
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_parts_an_address() {
        let parts = |text| {
            let address = EmailAddress::new(text).unwrap();
            (address.local_part().to_owned(), address.domain().map(str::to_owned))
        };
        assert_eq!(parts("a@b@example.com"), ("a@b".into(), Some("example.com".into())));
        assert_eq!(parts("postmaster"), ("postmaster".into(), None));
        assert_eq!(parts("a@"), ("a".into(), Some(String::new())));
        assert_eq!(EmailAddress::new(""), None);
    }
}
