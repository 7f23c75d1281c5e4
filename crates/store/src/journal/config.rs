//! The section `[journal]` of the configuration.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Error;

/// Below this there would be no room for a day of a small server.
const SIZE_MIN: u64 = 8 << 20;
/// Segments are an hour long: who wants less wants none.
const AGE_MIN: Duration = Duration::from_secs(3_600);

/// The section `[journal]`: every decision with all that it rests on, kept in the directory `journal` of the state
/// directory. A reload does not change it: that takes a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether decisions are kept and counted. They name addresses of clients, senders and recipients.
    pub enabled: bool,
    /// How long a decision is kept; an hour at least. What is older goes by whole segments, which are an hour long. Counts by
    /// the hour are kept for a year.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// How many octets of decisions are kept; 8 MiB at least. Over it the oldest go, whatever their age.
    pub size_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, max_age: Duration::from_secs(30 * 86_400), size_max: 1 << 30 }
    }
}

impl Config {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// The key at fault, and why.
    pub fn check(&self) -> Result<(), Error> {
        if self.max_age < AGE_MIN {
            return Err(Error::Setting { key: "max_age", problem: "must be 1h at least" });
        }
        if self.size_max < SIZE_MIN {
            return Err(Error::Setting { key: "size_max", problem: "must be 8388608 (8 MiB) at least" });
        }
        Ok(())
    }
}
