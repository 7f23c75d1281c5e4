//! The text of a refusal: what was said, and the id under which the decision is found.

use facts::DecisionId;

/// Postfix cuts a reply here (smtpd_check.c; RFC 5321 §4.5.3.1.5 allows 512 octets with CR and LF).
const REPLY_LENGTH_MAX: usize = 510;
/// What stands between the text and the id.
const ID: &str = "; id=";

/// Appends `text; id=…` to `line`, short enough that nobody cuts off the id where `around` bytes stand before it in the
/// reply.
pub(crate) fn push_with_id(line: &mut String, text: &str, id: DecisionId, around: usize) {
    let room = REPLY_LENGTH_MAX.saturating_sub(around + ID.len() + DecisionId::LENGTH);
    line.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
    line.push_str(ID);
    line.push_str(id.encode(&mut [0; DecisionId::LENGTH]));
}
