//! A decision as an action of access(5), which Postfix carries out.

use std::borrow::Cow;

use facts::{Decision, DecisionId, Deferral, Effect, Reply, Verdict};
use wire::policy::{ProtocolState, Request};

use super::Permit;
use crate::reply::push_with_id;

/// The action for `decision` on `request`; `None` if the decision refuses without saying how.
///
/// Postfix writes the code of DEFER_IF_PERMIT and DEFER_IF_REJECT itself (`access_map_defer_code`, 450), and puts a
/// prefix before each text that names what is refused.
pub(super) fn action(
    decision: &Decision,
    request: &Request<'_>,
    state: ProtocolState,
    permit: Permit,
) -> Option<Cow<'static, str>> {
    let prefix = Prefix::new(request, state);
    let (id, Effect { verdict, reply, deferral, actions }) = (decision.id, decision.effect());
    let refusal = |verb: &str, reply: &Reply| prefix.refusal(verb, reply, id).into();
    Some(match (verdict, deferral, reply) {
        (Verdict::Permit, Deferral::IfReject(reply), _) => refusal("DEFER_IF_REJECT", reply),
        // Whom we would not have let pass in shadow is Postfix's to judge: OK would skip its own restrictions.
        (Verdict::Permit, ..) if decision.verdict != Verdict::Permit => Permit::Dunno.action().into(),
        // A policy reply has room for one: the log tells of the others.
        (Verdict::Permit, ..) => match actions.first() {
            Some(action) => action.to_string().into(),
            None => permit.action().into(),
        },
        // Both let the client go on: the text is seen in Postfix's log only.
        (Verdict::Hold, ..) => format!("HOLD triggers HOLD action; id={id}").into(),
        (Verdict::Discard, ..) => format!("DISCARD triggers DISCARD action; id={id}").into(),
        (_, Deferral::IfPermit, Some(reply)) => refusal("DEFER_IF_PERMIT", reply),
        (_, _, Some(reply)) => refusal(itoa::Buffer::new().format(reply.code), reply),
        (_, _, None) => return None,
    })
}

/// Takes out of `decision` what Postfix does once it has read the [`action`] for it: what is left is for a milter.
///
/// A message that is thrown away stays so: nobody is to be asked about it any more.
pub(super) fn carry_out(decision: &mut Decision) {
    let Effect { verdict, deferral, actions, .. } = decision.effect();
    match (verdict, deferral) {
        (Verdict::Hold, _) => decision.verdict = Verdict::Permit,
        (Verdict::Permit, Deferral::None) if !actions.is_empty() => drop(decision.actions.remove(0)),
        _ => {}
    }
}

/// What Postfix writes before our text: `<c@example.com>: Recipient address rejected: `.
///
/// It goes by the list in which `check_policy_service` stands. The request does not tell that, only the state, so
/// this is right where we stand in the list of that state's own name.
struct Prefix<'a> {
    /// The parts between `<` and `>`.
    subject: [&'a str; 4],
    class: &'static str,
}

impl<'a> Prefix<'a> {
    fn new(request: &'a Request<'_>, state: ProtocolState) -> Self {
        let (subject, class): (&str, _) = match state {
            ProtocolState::Connect => {
                let subject = [&*request.client_name, "[", &*request.client_address, "]"];
                return Self { subject, class: "Client host" };
            }
            ProtocolState::Helo => (&request.helo_name, "Helo command"),
            ProtocolState::Mail => (&request.sender, "Sender address"),
            ProtocolState::Rcpt | ProtocolState::Vrfy => (&request.recipient, "Recipient address"),
            ProtocolState::Data => ("DATA", "Data command"),
            ProtocolState::EndOfMessage => ("END-OF-MESSAGE", "End-of-data"),
            ProtocolState::Etrn => (&request.etrn_domain, "Etrn command"),
        };
        Self { subject: [subject, "", "", ""], class }
    }

    /// `verb`, the enhanced code, the text without what Postfix says already, and the id; short enough that
    /// Postfix's cut leaves the id alone.
    fn refusal(&self, verb: &str, reply: &Reply, id: DecisionId) -> String {
        let Reply { enhanced, text, .. } = reply;
        let text = self.strip(text).unwrap_or(text);
        let around = "450 ".len() + enhanced.len() + " ".len() + self.length();
        let mut action = String::with_capacity(128);
        for part in [verb, " ", enhanced, " "] {
            action.push_str(part);
        }
        push_with_id(&mut action, text, id, around);
        action
    }

    fn parts(&self) -> impl Iterator<Item = &'a str> {
        ["<"].into_iter().chain(self.subject).chain([">: ", self.class, " rejected: "])
    }

    fn length(&self) -> usize {
        self.parts().map(str::len).sum()
    }

    fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.parts().try_fold(text, |rest, part| rest.strip_prefix(part))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use facts::{Enforced, MessageAction, Reason, Refusal, Stage};

    use super::*;

    fn decision(verdict: Verdict, deferral: Deferral, text: &str) -> Decision {
        let code = if verdict == Verdict::Reject { 550 } else { 450 };
        Decision {
            id: DecisionId::new(UNIX_EPOCH, 1),
            time: UNIX_EPOCH,
            verdict,
            reply: matches!(verdict, Verdict::Reject | Verdict::Defer).then(|| Reply::new(code, "5.7.1", text)),
            deferral,
            stage: Stage::Rcpt,
            restriction: None,
            reason: Reason::Configured,
            actions: Vec::new(),
            findings: Vec::new(),
            dns_queries: 0,
            enforced: Enforced::Whole,
        }
    }

    fn request() -> Request<'static> {
        Request {
            client_address: "192.0.2.9".into(),
            client_name: "unknown".into(),
            helo_name: "h".into(),
            sender: "s@x".into(),
            recipient: "r@x".into(),
            etrn_domain: "e".into(),
            ..Request::default()
        }
    }

    #[test]
    fn verdicts_as_actions() {
        let later = || Deferral::IfReject(Reply::new(450, "4.7.1", "listed?"));
        let id = "id=0000000000001";
        for (verdict, deferral, expected) in [
            (Verdict::Permit, Deferral::None, "DUNNO".to_owned()),
            (Verdict::Permit, later(), format!("DEFER_IF_REJECT 4.7.1 listed?; {id}")),
            (Verdict::Reject, Deferral::None, format!("550 5.7.1 no; {id}")),
            (Verdict::Defer, Deferral::None, format!("450 4.7.1 no; {id}")),
            (Verdict::Defer, Deferral::IfPermit, format!("DEFER_IF_PERMIT 4.7.1 no; {id}")),
            (Verdict::Hold, Deferral::None, format!("HOLD triggers HOLD action; {id}")),
            (Verdict::Discard, Deferral::None, format!("DISCARD triggers DISCARD action; {id}")),
        ] {
            let found = action(&decision(verdict, deferral, "no"), &request(), ProtocolState::Rcpt, Permit::Dunno);
            assert_eq!(found, Some(expected.into()));
        }
    }

    #[test]
    fn what_is_done_with_the_message() {
        let actions = vec![MessageAction::Prepend("X-A: b".into()), MessageAction::Bcc("a@b".into())];
        for (verdict, expected) in [(Verdict::Permit, "PREPEND X-A: b"), (Verdict::Reject, "550 5.7.1 no; id=")] {
            let decision = Decision { actions: actions.clone(), ..decision(verdict, Deferral::None, "no") };
            let found = action(&decision, &request(), ProtocolState::Rcpt, Permit::Ok).unwrap();
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn in_shadow_nothing_is_carried_out_but_relay_control() {
        let refusal = |code, deferral| {
            Enforced::RelayControl(Refusal { reply: Reply::new(code, "5.7.1", "no relay"), deferral }.into())
        };
        let later = || Deferral::IfReject(Reply::new(450, "4.7.1", "listed?"));
        let actions = vec![MessageAction::Prepend("X-A: b".into())];
        for (verdict, deferral, enforced, expected) in [
            (Verdict::Permit, Deferral::None, Enforced::Nothing, "OK"),
            (Verdict::Permit, later(), Enforced::Nothing, "OK"),
            (Verdict::Reject, Deferral::None, Enforced::Nothing, "DUNNO"),
            (Verdict::Defer, Deferral::IfPermit, Enforced::Nothing, "DUNNO"),
            (Verdict::Hold, Deferral::None, Enforced::Nothing, "DUNNO"),
            (Verdict::Discard, Deferral::None, Enforced::Nothing, "DUNNO"),
            (Verdict::Discard, Deferral::None, refusal(554, Deferral::None), "554 5.7.1 no relay; id=0000000000001"),
            (
                Verdict::Reject,
                Deferral::None,
                refusal(450, Deferral::IfPermit),
                "DEFER_IF_PERMIT 4.7.1 no relay; id=0000000000001",
            ),
        ] {
            let decision = Decision { enforced, actions: actions.clone(), ..decision(verdict, deferral, "no") };
            assert_eq!(
                action(&decision, &request(), ProtocolState::Rcpt, Permit::Ok).unwrap(),
                expected,
                "{decision:?}"
            );
        }
    }

    #[test]
    fn ok_only_by_option() {
        let permit = decision(Verdict::Permit, Deferral::None, "");
        assert_eq!(action(&permit, &request(), ProtocolState::Rcpt, Permit::Ok).unwrap(), "OK");
    }

    #[test]
    fn a_refusal_without_reply_is_a_failure() {
        let silent = Decision { reply: None, ..decision(Verdict::Reject, Deferral::None, "") };
        assert_eq!(action(&silent, &request(), ProtocolState::Rcpt, Permit::Ok), None);
    }

    #[test]
    fn what_postfix_says_itself_is_left_out() {
        use ProtocolState::{Connect, Data, EndOfMessage, Etrn, Helo, Mail, Rcpt, Vrfy};
        for (state, prefix) in [
            (Connect, "<unknown[192.0.2.9]>: Client host rejected: "),
            (Helo, "<h>: Helo command rejected: "),
            (Mail, "<s@x>: Sender address rejected: "),
            (Rcpt, "<r@x>: Recipient address rejected: "),
            (Vrfy, "<r@x>: Recipient address rejected: "),
            (Data, "<DATA>: Data command rejected: "),
            (EndOfMessage, "<END-OF-MESSAGE>: End-of-data rejected: "),
            (Etrn, "<e>: Etrn command rejected: "),
        ] {
            let text = |text: &str| {
                let decision = decision(Verdict::Reject, Deferral::None, text);
                action(&decision, &request(), state, Permit::Dunno).unwrap()
            };
            assert_eq!(text(&format!("{prefix}no")), "550 5.7.1 no; id=0000000000001");
            let other = "<other@x>: Recipient address rejected: no";
            assert_eq!(text(other), format!("550 5.7.1 {other}; id=0000000000001"));
        }
    }

    #[test]
    fn the_id_survives_postfix_cutting() {
        let long = Request { recipient: "r".repeat(300).into(), ..request() };
        let decision = decision(Verdict::Reject, Deferral::None, &"é".repeat(300));
        let found = action(&decision, &long, ProtocolState::Rcpt, Permit::Dunno).unwrap();
        let prefix = format!("<{}>: Recipient address rejected: ", long.recipient).len();
        assert!((509..=510).contains(&(found.len() + prefix)), "{}", found.len() + prefix);
        assert!(found.ends_with("; id=0000000000001"));
    }
}
