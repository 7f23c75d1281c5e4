//! An action of access tables as a value of the configuration.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::tables::action::{Action, Codes};

/// An action that can be carried out, as in access(5): `DUNNO`, `451 4.3.5 Server configuration problem`.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PolicyAction(String);

impl PolicyAction {
    /// Postfix's default where a policy service does not answer.
    pub(super) fn server_problem() -> Self {
        Self("451 4.3.5 Server configuration problem".into())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Action::parse(text, Codes { reject: 554, defer: 450 }) {
            Action::Unusable => {
                Err(format!("\"{text}\" is not an action: write DUNNO, DEFER_IF_PERMIT text or 451 4.3.5 text"))
            }
            Action::Incomplete(needs) => Err(needs.into()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for PolicyAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
