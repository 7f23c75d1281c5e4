//! The section `[store]` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::valkey::Address;
use crate::{Error, Url};

/// Below this the file would be full before it was of any use.
const SIZE_MIN: u64 = 8 << 20;
/// Longer prefixes would be most of what Valkey keeps.
const KEY_PREFIX_MAX: usize = 64;
/// Postfix waits for an answer so much longer; a mail has many recipients.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// The section `[store]`. Every key has a default. What changes here is taken on by a restart only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where is remembered: `"embedded:"`, in the file `portcullis.redb` of the state directory; or, where several hosts
    /// are to share one memory, in Valkey or Redis: `"valkey://user:password@host:6379/0"`, `"valkeys://..."` by TLS,
    /// `"valkey+sentinel://host1,host2/master/0"`, `"valkey+cluster://host1,host2"`. In user and password `%40` is `@`.
    pub url: Url,
    /// How many octets the file may have; 8 MiB at least. Half of them hold entries, the other half is the room in which
    /// the file grows. When that is used up, the oldest triplets that wait are forgotten; while all others still need
    /// more, a new triplet is let through. An index in memory takes up to a 25th of it.
    pub size_max: u64,
    /// With what all our keys in Valkey begin. Hosts that share a memory have the same one.
    pub key_prefix: String,
    /// How long one answer may wait for Valkey; 5s at most. When it takes longer, or fails, nobody waits for it any more,
    /// until it answers a question of our own.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// By whose certificates that of Valkey must be signed, a file in PEM form. Absent: those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// The certificate by which Valkey knows us, a file in PEM form, the certificates that sign it after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key, a file in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "embedded:".into(),
            size_max: 4 << 30,
            key_prefix: "portcullis:".into(),
            timeout: Duration::from_millis(100),
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

impl Config {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// The key at fault, and why.
    pub fn check(&self) -> Result<(), Error> {
        self.checked().map(drop)
    }

    /// Whether it is a file that remembers.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self.checked(), Ok(None))
    }

    /// Where Valkey is, if it is Valkey that remembers.
    pub(crate) fn checked(&self) -> Result<Option<Address>, Error> {
        let fault = |key, problem| Error::Setting { key, problem };
        let address = match self.url.as_written() {
            "embedded:" => None,
            url => Some(Address::parse(url).map_err(|problem| fault("url", problem))?),
        };
        if self.size_max < SIZE_MIN {
            return Err(fault("size_max", "must be 8388608 (8 MiB) at least"));
        }
        // In braces a part of a key would say to which node of a cluster all keys belong.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":._-/".contains(c);
        if self.key_prefix.len() > KEY_PREFIX_MAX || !self.key_prefix.chars().all(is_plain) {
            return Err(fault("key_prefix", "may have 64 letters of ASCII, digits and : . _ - / at most"));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Err(fault("timeout", "must be longer than 0s, and 5s at most"));
        }
        let has_tls = address.as_ref().is_some_and(|address| address.tls);
        let files = [
            ("tls_ca_file", &self.tls_ca_file),
            ("tls_cert_file", &self.tls_cert_file),
            ("tls_key_file", &self.tls_key_file),
        ];
        if let Some((key, _)) = files.into_iter().find(|(_, file)| file.is_some() && !has_tls) {
            return Err(fault(key, "is of no use without TLS: write valkeys:// in store.url"));
        }
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => Err(fault("tls_cert_file", "needs store.tls_key_file")),
            (None, Some(_)) => Err(fault("tls_key_file", "needs store.tls_cert_file")),
            _ => Ok(address),
        }
    }
}
