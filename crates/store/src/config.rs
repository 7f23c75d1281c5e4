//! The section `[store]` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Below this the file would be full before it was of any use.
const SIZE_MIN: u64 = 8 << 20;

/// The section `[store]`. Every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where is remembered: `"embedded:"`, in the file `portcullis.redb` of the state directory.
    pub url: String,
    /// How many octets the file may have; 8 MiB at least. Half of them hold entries, the other half is the room in which
    /// the file grows. When that is used up, the oldest triplets that wait are forgotten; while all others still need
    /// more, a new triplet is let through. An index in memory takes up to a 25th of it.
    pub size_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: "embedded:".into(), size_max: 4 << 30 }
    }
}

impl Config {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// The key at fault, and why.
    pub fn check(&self) -> Result<(), Error> {
        if self.url != "embedded:" {
            return Err(Error::Setting { key: "url", problem: "is not built yet: write \"embedded:\"" });
        }
        if self.size_max < SIZE_MIN {
            return Err(Error::Setting { key: "size_max", problem: "must be 8388608 (8 MiB) at least" });
        }
        Ok(())
    }
}
