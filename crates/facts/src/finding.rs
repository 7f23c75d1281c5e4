//! What a restriction found, and what that rests on.

use std::fmt;
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
    #[serde(rename = "note", serialize_with = "in_words")]
    Greylist(Greylisted),
    /// Anything else, in words.
    Note(Box<str>),
}

fn in_words<S: Serializer>(answer: &Greylisted, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(answer)
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(answer) => answer.fmt(f),
            Self::Listing { zone, listed } => write!(f, "{zone} lists {listed}"),
            Self::Table { table, key, value, line: 0 } => write!(f, "{table}: {key} {value}"),
            Self::Table { table, key, value, line } => write!(f, "{table}, line {line}: {key} {value}"),
            Self::Policy { service, action } => write!(f, "{service}: {action}"),
            Self::Greylist(answer) => answer.fmt(f),
            Self::Note(words) => f.write_str(words),
        }
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
    pub evidence: Vec<Evidence>,
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
}
