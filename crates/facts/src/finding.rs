//! What a restriction found, and what that rests on.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::{DnsAnswer, Greylisted, Stage};

/// What one restriction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It does not object, and does not welcome either.
    Dunno,
    /// It ends its list.
    Permit,
    /// It refuses for good.
    Reject,
    /// It refuses for now.
    Defer,
    /// It refuses for now, unless something later refuses for good.
    DeferIfPermit,
    /// It turns a later refusal into one for now.
    DeferIfReject,
    /// It wants the message kept aside.
    Hold,
    /// It wants the message thrown away.
    Discard,
    /// It would have refused: `warn_if_reject` stood before it.
    Warn,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// An answer of the DNS.
    Dns(Arc<DnsAnswer>),
    /// An answer of a DNS list that counts as listed.
    Listing {
        /// The list's domain.
        zone: Box<str>,
        /// The address or the domain that is listed.
        listed: Box<str>,
    },
    /// A row of a table.
    Table {
        /// The table as the configuration names it.
        table: Box<str>,
        /// The key that was found.
        key: Box<str>,
        /// The row's result.
        value: Box<str>,
        /// Where the row stands, from 1; 0 for inline tables.
        line: usize,
    },
    /// An answer of a policy service.
    Policy {
        /// Where it listens.
        service: Box<str>,
        /// The action that it wants.
        action: Box<str>,
    },
    /// What the memory of greylisting said. Told in words, as a note is.
    #[serde(rename = "note", serialize_with = "words_alone")]
    Greylist {
        /// The answer, for whoever decides again.
        answer: Greylisted,
        /// The same in words.
        words: Box<str>,
    },
    /// Anything else, in words.
    Note(Box<str>),
}

fn words_alone<S: Serializer>(_: &Greylisted, words: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(words)
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(answer) => answer.fmt(f),
            Self::Listing { zone, listed } => write!(f, "{zone} lists {listed}"),
            Self::Table { table, key, value, line: 0 } => write!(f, "{table}: {key} {value}"),
            Self::Table { table, key, value, line } => write!(f, "{table}, line {line}: {key} {value}"),
            Self::Policy { service, action } => write!(f, "{service}: {action}"),
            Self::Greylist { words, .. } | Self::Note(words) => f.write_str(words),
        }
    }
}

/// What a finding rests on, in order. Most rest on nothing, which costs nothing to make and to drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds(Option<Vec<Evidence>>);

impl Grounds {
    /// Adds one at the end.
    pub fn push(&mut self, evidence: Evidence) {
        match &mut self.0 {
            Some(all) => all.push(evidence),
            // A vector that grows would have room for four, and most have but one.
            None => self.0 = Some(vec![evidence]),
        }
    }
}

impl Deref for Grounds {
    type Target = [Evidence];

    fn deref(&self) -> &[Evidence] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Evidence> for Grounds {
    fn from_iter<T: IntoIterator<Item = Evidence>>(evidence: T) -> Self {
        let all = Vec::from_iter(evidence);
        Self((!all.is_empty()).then_some(all))
    }
}

impl IntoIterator for Grounds {
    type Item = Evidence;
    type IntoIter = std::vec::IntoIter<Evidence>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.unwrap_or_default().into_iter()
    }
}

impl<'a> IntoIterator for &'a Grounds {
    type Item = &'a Evidence;
    type IntoIter = std::slice::Iter<'a, Evidence>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Grounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

/// What one restriction found, and on what grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The list in which the restriction stands, by its key in the configuration; empty for what no list holds. The
    /// findings of a list are those of its first restrictions, one for each.
    #[serde(skip)]
    pub list: &'static str,
    /// The stage of that list.
    pub stage: Stage,
    /// The restriction with its arguments, as configured.
    pub restriction: &'static str,
    /// What it came to.
    pub outcome: Outcome,
    /// On what grounds.
    pub evidence: Grounds,
    /// Microseconds from its start to its answer; 0 for what needs no asking.
    pub micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_in_logs_are_those_of_json() {
        assert_eq!(Outcome::DeferIfPermit.to_string(), "defer_if_permit");
    }

    #[test]
    fn grounds_are_equal_however_they_came_together() {
        let note = || Evidence::Note("x".into());
        let mut pushed = Grounds::default();
        assert_eq!(pushed, Grounds::from_iter([]));
        pushed.push(note());
        assert_eq!(pushed, Grounds::from_iter([note()]));
        assert_eq!(pushed.into_iter().collect::<Grounds>().len(), 1);
    }
}
