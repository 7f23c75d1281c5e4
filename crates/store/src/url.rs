//! The value of `store.url`, which may hold a password: nothing prints that.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Where is remembered, as the configuration says it.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    /// With its password.
    pub(crate) fn as_written(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Url {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_passwords(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `text` with an asterisk in place of each octet of the passwords in its URLs, so that every place in it stays the same.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let credentials = begin(line).and_then(|at| Some((line.split_at_checked(at)?, line.rfind('@')?)));
        match credentials {
            // What a user may be called does not matter here: all between the first colon and the last @ may be secret.
            Some(((before, rest), end)) if end > before.len() => {
                let (credentials, rest) = rest.split_at(end - before.len());
                let user = credentials.find(':').map_or("", |colon| &credentials[..=colon]);
                shown.extend([before, user, &"*".repeat(credentials.len() - user.len()), rest]);
            }
            _ => shown.push_str(line),
        }
    }
    shown
}

/// Where in a line credentials may begin: in a URL, or in what an administrator has meant to be one.
fn begin(line: &str) -> Option<usize> {
    let quoted = || line.trim_start().starts_with("url").then(|| line.find(['"', '\'']))?.map(|at| at + 1);
    line.find("://").map(|at| at + 3).or_else(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("embedded:", "embedded:"),
            ("valkey://mx/0", "valkey://mx/0"),
            ("valkey://u:secret@mx/0", "valkey://u:******@mx/0"),
            ("valkey://:se@ret@mx", "valkey://:******@mx"),
            ("valkey://secret@mx", "valkey://******@mx"),
            ("a = 1\nurl = \"rediss://u:ä@mx\" # x\nb = 2\n", "a = 1\nurl = \"rediss://u:**@mx\" # x\nb = 2\n"),
            ("url = \"valkey:/u:secret@mx\"", "url = \"valkey:*********@mx\""),
            ("sender = \"inline:{a@b=REJECT}\"", "sender = \"inline:{a@b=REJECT}\""),
            ("x://a:b@c x://d:e@f", "x://a:***********@f"),
        ] {
            assert_eq!(without_passwords(text), shown);
            assert_eq!(text.len(), shown.len());
            assert_eq!(format!("{:?}", Url::from(text)), shown);
        }
    }
}
