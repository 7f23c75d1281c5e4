//! Actions of access tables (access(5)).

use std::borrow::Cow;

use facts::MessageAction;

/// What the right-hand side of an access table asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// `OK`, `RELAY`, or digits alone.
    Ok,
    /// `DUNNO`, `INFO`, `WARN`: go on.
    Dunno,
    /// `REJECT`, `DEFER`, `4NN` and `5NN`, with the enhanced code and the text that follow.
    Refuse(Answer<'a>),
    /// `DEFER_IF_PERMIT`
    DeferIfPermit(Answer<'a>),
    /// `DEFER_IF_REJECT`
    DeferIfReject(Answer<'a>),
    /// `HOLD`
    Hold,
    /// `DISCARD`
    Discard,
    /// `FILTER`, `REDIRECT`, `BCC`, `PREPEND`
    Message(MessageAction),
    /// One of these without what it needs, which is said here. Postfix warns and goes on.
    Incomplete(&'static str),
    /// No action at all: Postfix answers 451 4.3.5.
    Unusable,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub code: u16,
    pub enhanced: &'a str,
    pub text: &'a str,
}

/// The codes of actions that name none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    /// Postfix: access_map_reject_code.
    pub reject: u16,
    /// Postfix: access_map_defer_code.
    pub defer: u16,
}

impl<'a> Action<'a> {
    /// The action that `value` spells. Case does not count.
    pub(crate) fn parse(value: &'a str, codes: Codes) -> Self {
        let (word, text) = value.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((value, ""));
        let text = text.trim_start();
        let answer = |code, enhanced, or| answer(code, enhanced, text, or);
        let upper: Cow<'_, str> = word.to_ascii_uppercase().into();
        match &*upper {
            "OK" | "RELAY" => Self::Ok,
            "DUNNO" | "INFO" | "WARN" => Self::Dunno,
            "REJECT" => Self::Refuse(answer(codes.reject, "5.7.1", "Access denied")),
            "DEFER" => Self::Refuse(answer(codes.defer, "4.7.1", "Access denied")),
            "DEFER_IF_PERMIT" => Self::DeferIfPermit(answer(codes.defer, "4.7.1", "Service unavailable")),
            "DEFER_IF_REJECT" => Self::DeferIfReject(answer(codes.defer, "4.7.1", "Service unavailable")),
            "HOLD" => Self::Hold,
            "DISCARD" => Self::Discard,
            other => Self::special(value, other, text),
        }
    }

    fn special(value: &str, word: &str, text: &'a str) -> Self {
        if let Some(action) = message(word, text) {
            return action;
        }
        // "An all-numerical result is treated as OK", even 450 without a text.
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            return if value.is_empty() { Self::Unusable } else { Self::Ok };
        }
        match word.parse::<u16>() {
            Ok(code @ 400..=599) if word.len() == 3 && !text.is_empty() => {
                let enhanced = if code < 500 { "4.7.1" } else { "5.7.1" };
                Self::Refuse(answer(code, enhanced, text, "Access denied"))
            }
            _ => Self::Unusable,
        }
    }
}

fn message<'a>(word: &str, text: &str) -> Option<Action<'a>> {
    let (action, is_complete, needs): (fn(Box<str>) -> MessageAction, _, _) = match word {
        "FILTER" => (MessageAction::Filter, text.contains(':'), "FILTER needs transport:destination after it"),
        "REDIRECT" => (MessageAction::Redirect, text.contains('@'), "REDIRECT needs user@domain after it"),
        "BCC" => (MessageAction::Bcc, text.contains('@'), "BCC needs user@domain after it"),
        "PREPEND" => (MessageAction::Prepend, is_header(text), "PREPEND needs header: text after it"),
        _ => return None,
    };
    Some(if is_complete { Action::Message(action(text.into())) } else { Action::Incomplete(needs) })
}

/// Whether `text` begins with the name of a header (RFC 5322 §2.2) and a colon.
fn is_header(text: &str) -> bool {
    let name = text.split_once(':').map_or("", |(name, _)| name.trim_end_matches([' ', '\t']));
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic())
}

/// Takes an enhanced code off the front of `text`.
fn answer<'a>(code: u16, enhanced: &'a str, text: &'a str, or: &'static str) -> Answer<'a> {
    let (enhanced, text) = split_enhanced(text).unwrap_or((enhanced, text));
    Answer { code, enhanced, text: if text.is_empty() { or } else { text } }
}

/// An enhanced status code (RFC 3463 §2) at the front of `text`, and what follows it.
pub(crate) fn split_enhanced(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let mut parts = first.split('.');
    let class = parts.next()?;
    let is_detail = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let details = parts.clone().count() == 2 && parts.all(is_detail);
    (matches!(class, "2" | "4" | "5") && details).then(|| (first, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions() {
        let refuse = |code, enhanced, text| Action::Refuse(Answer { code, enhanced, text });
        for (value, action) in [
            ("OK", Action::Ok),
            ("relay now", Action::Ok),
            ("123456", Action::Ok),
            ("450", Action::Ok),
            ("dunno text", Action::Dunno),
            ("WARN look here", Action::Dunno),
            ("REJECT", refuse(554, "5.7.1", "Access denied")),
            ("reject 4.1.1 go away", refuse(554, "4.1.1", "go away")),
            ("REJECT 5.7.1", refuse(554, "5.7.1", "Access denied")),
            ("defer", refuse(450, "4.7.1", "Access denied")),
            ("521 no", refuse(521, "5.7.1", "no")),
            ("450 4.2.0 later", refuse(450, "4.2.0", "later")),
            ("HOLD for a look", Action::Hold),
            ("discard", Action::Discard),
            ("prepend X-A: b", Action::Message(MessageAction::Prepend("X-A: b".into()))),
            ("PREPEND X A: b", Action::Incomplete("PREPEND needs header: text after it")),
            ("filter smtp:[127.0.0.1]:10025", Action::Message(MessageAction::Filter("smtp:[127.0.0.1]:10025".into()))),
            ("FILTER", Action::Incomplete("FILTER needs transport:destination after it")),
            ("REDIRECT a@b", Action::Message(MessageAction::Redirect("a@b".into()))),
            ("BCC a", Action::Incomplete("BCC needs user@domain after it")),
            ("250 fine", Action::Unusable),
            ("permit_mynetworks, reject", Action::Unusable),
            ("", Action::Unusable),
        ] {
            assert_eq!(Action::parse(value, Codes { reject: 554, defer: 450 }), action, "{value}");
        }
    }

    #[test]
    fn enhanced_codes() {
        for (text, expected) in [
            ("5.7.1 no", Some(("5.7.1", "no"))),
            ("4.1.100", Some(("4.1.100", ""))),
            ("3.1.1 x", None),
            ("5.7 x", None),
            ("5.7.1.1 x", None),
            ("5..1 x", None),
            ("5.1234.1 x", None),
        ] {
            assert_eq!(split_enhanced(text), expected, "{text}");
        }
    }
}
