//! The text of a refusal: what was said, and the id under which the decision is found.

use facts::DecisionId;

/// Postfix cuts a reply here (smtpd_check.c; RFC 5321 §4.5.3.1.5 allows 512 octets with CR and LF).
const REPLY_LENGTH_MAX: usize = 510;

/// `text; id=…`, short enough that nobody cuts off the id where `around` bytes stand before it in its line.
pub(crate) fn with_id(text: &str, id: DecisionId, around: usize) -> String {
    let id = format!("; id={id}");
    let end = text.floor_char_boundary(REPLY_LENGTH_MAX.saturating_sub(around + id.len()));
    text.get(..end).unwrap_or_default().to_owned() + &id
}
