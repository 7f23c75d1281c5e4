//! Replies as Postfix words them.

use facts::Reply;

use crate::restriction::Subject;

/// The longest reply line, without its line end (RFC 5321 §4.5.3.1.5).
const REPLY_LENGTH_MAX: usize = 510;

/// The code where the DNS could not answer, whatever the administrator has made of the codes for answers.
pub(crate) const TEMPFAIL_CODE: u16 = 450;

/// What a reply speaks of: Postfix's `<NAME>: CLASS rejected: …`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: &'a str,
}

impl Named<'_> {
    /// `CODE ENHANCED <NAME>: CLASS rejected: WHY`
    pub(crate) fn rejected(self, code: u16, enhanced: &str, why: &str) -> Reply {
        reply(code, enhanced, ["<", self.name, ">: ", self.class, " rejected: ", why].concat())
    }
}

/// A reply of printable signs that fits in a line.
pub(crate) fn reply(code: u16, enhanced: &str, text: impl Into<String>) -> Reply {
    let room = REPLY_LENGTH_MAX - "500 ".len() - enhanced.len() - 1;
    let mut text = text.into();
    text.truncate(text.floor_char_boundary(room));
    // Looked at by the octet first, all of them: that takes a tenth of looking at each character.
    let is_plain = text.bytes().fold(true, |all, octet| all & matches!(octet, b' '..=b'~'));
    if !is_plain && text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    Reply::new(code, enhanced, text)
}

/// What Postfix answers when the fault is ours or the administrator's.
pub(crate) fn server_error() -> Reply {
    Reply::new(451, "4.3.5", "Server configuration error")
}

/// The enhanced code that fits what is refused, which is of this reply class: one for recipients says something else of
/// a sender, and nothing of a client (RFC 3463 §3.2).
pub(crate) fn enhanced_for<'a>(enhanced: &'a str, class: &str) -> &'a str {
    let Some(detail) = enhanced.split_once('.').and_then(|(_, rest)| rest.strip_prefix("1.")) else { return enhanced };
    match [Subject::Sender, Subject::Recipient].into_iter().find(|subject| subject.reply_class() == class) {
        Some(Subject::Sender) => match detail {
            "2" | "8" => "4.1.8",
            "1" | "3" | "4" | "6" | "7" => "4.1.7",
            _ => "4.1.0",
        },
        Some(Subject::Recipient) => match detail {
            "1" => "4.1.1",
            "2" | "8" => "4.1.2",
            "3" | "7" => "4.1.3",
            "4" => "4.1.4",
            "5" => "4.1.5",
            "6" => "4.1.6",
            _ => "4.1.0",
        },
        _ => "4.0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_fit_in_a_line_and_are_printable() {
        let long = reply(554, "5.7.1", "ä\r\n".repeat(400));
        assert!(long.to_string().len() <= REPLY_LENGTH_MAX);
        assert!(!long.text.contains(['\r', '\n']));
    }

    #[test]
    fn codes_for_addresses() {
        for (code, class, expected) in [
            ("5.1.1", Subject::Sender.reply_class(), "4.1.7"),
            ("5.1.5", Subject::Sender.reply_class(), "4.1.0"),
            ("5.1.2", Subject::Sender.reply_class(), "4.1.8"),
            ("4.1.8", Subject::Recipient.reply_class(), "4.1.2"),
            ("5.1.9", Subject::Recipient.reply_class(), "4.1.0"),
            ("5.1.1", Subject::Client.reply_class(), "4.0.0"),
            ("5.7.1", Subject::Sender.reply_class(), "5.7.1"),
            ("5.10.1", "Data command", "5.10.1"),
        ] {
            assert_eq!(enhanced_for(code, class), expected, "{code} {class}");
        }
    }
}
