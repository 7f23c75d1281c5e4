//! A decision as the object that `explain --json` prints and that every JSON log line holds.

use std::io;

use facts::{Decision, Finding, MessageAction, Reason, Stage, Verdict};
use serde::Serialize;
use serde_json::ser::Formatter;

/// The object. Its field names are an interface: other programs read them.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'a> {
    /// What becomes of the mail; in shadow, what would become of it.
    pub verdict: Verdict,
    /// The SMTP reply line, code first, without the decision id.
    pub reply: Option<String>,
    /// Whether it was decided in shadow: the mail goes on, unless there is something in `enforced`.
    pub shadow: bool,
    /// What the client is told though it is in shadow, as relay control will have it; left out where that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced: Option<String>,
    /// The stage at which it was settled.
    pub stage: Stage,
    /// The restriction that settled it, with its arguments.
    pub restriction: Option<&'a str>,
    /// Why.
    pub reason: Reason,
    /// What is done with the message that goes on; left out where that is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub actions: &'a [MessageAction],
    /// What each restriction found, in order.
    pub findings: &'a [Finding],
    /// What sender authentication said.
    pub authentication: Authentication,
    /// How many questions were sent to the DNS.
    pub dns_queries: u32,
}

/// The results of sender authentication. This version checks none yet, and says so with `null`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Authentication {
    spf: (),
    dkim: (),
    arc: (),
    dmarc: (),
}

impl<'a> Report<'a> {
    /// The report on `decision`.
    #[must_use]
    pub fn new(decision: &'a Decision) -> Self {
        Self {
            verdict: decision.verdict,
            reply: decision.reply.as_ref().map(ToString::to_string),
            shadow: decision.enforced.is_shadow(),
            enforced: decision.enforced.refusal().map(ToString::to_string),
            stage: decision.stage,
            restriction: decision.restriction,
            reason: decision.reason,
            actions: &decision.actions,
            findings: &decision.findings,
            authentication: Authentication::default(),
            dns_queries: decision.dns_queries,
        }
    }

    /// The object on one line, in printable ASCII.
    ///
    /// # Errors
    /// None that can happen with the types above.
    pub fn json(&self) -> serde_json::Result<String> {
        ascii_json(self)
    }
}

/// `value` as JSON on one line, in printable ASCII: what a stranger wrote can neither end the line nor turn a
/// terminal's writing direction.
///
/// # Errors
/// Those of `value`'s own serialization.
pub fn ascii_json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(1024);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, Ascii))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                writer.write_all(&[c as u8])?;
            } else {
                // JSON escapes characters beyond 16 bits as a pair of surrogates.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_printable_ascii() {
        for text in ["plain \\ \"quoted\"", "a\r\n\0\u{7f}b", "é\u{202e}\u{1f4e7}"] {
            let json = ascii_json(&text).unwrap();
            assert!(json.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
