//! From rulings to one verdict: what outweighs what, and what becomes of a missing answer.

use facts::{Deferral, MessageAction, Outcome, Reason, Reply, Stage, Verdict};

use crate::config::TempfailAction;
use crate::ruling::{Says, Unknown, UnknownClass};

/// What follows from a restriction that could not answer. Nothing that failed to answer refuses for good.
pub(crate) fn when_unknown(unknown: Unknown) -> Says {
    let Unknown { class, reply } = unknown;
    match class {
        // Postfix: 450 whatever unknown_client_reject_code says.
        UnknownClass::ClientName => Says::Refuse(reply, Reason::DnsFailure),
        // Postfix: unknown_helo_hostname_tempfail_action, unknown_address_tempfail_action.
        UnknownClass::Domain(TempfailAction::Defer) => Says::Refuse(reply, Reason::DnsFailure),
        UnknownClass::Domain(TempfailAction::DeferIfPermit) => Says::DeferIfPermit(reply, Reason::DnsFailure),
        UnknownClass::BlockList => Says::Dunno,
        // Had the list answered, it might have let the client in.
        UnknownClass::WelcomeList => Says::DeferIfReject(reply, Reason::DnsFailure),
        UnknownClass::Table => Says::Refuse(reply, Reason::TableFailure),
    }
}

/// How the walk goes on after a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the next restriction.
    Restriction,
    /// With the next list.
    List,
    /// Nowhere: it is settled.
    End,
}

/// Who said what: the words for a decision.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) verdict: Verdict,
    pub(crate) reply: Option<Reply>,
    pub(crate) deferral: Deferral,
    pub(crate) stage: Stage,
    pub(crate) restriction: Option<&'static str>,
    pub(crate) reason: Reason,
}

impl Settled {
    /// Nobody had anything to say.
    pub(crate) fn no_objection(stage: Stage) -> Self {
        Self {
            verdict: Verdict::Permit,
            reply: None,
            deferral: Deferral::None,
            stage,
            restriction: None,
            reason: Reason::NoObjection,
        }
    }
}

/// The scales on which one decision is weighed.
#[derive(Debug)]
pub(crate) struct Scales {
    if_permit: Option<Held>,
    if_reject: Option<Held>,
    hold: Option<Held>,
    /// The last permit, for the reason of a permit.
    permit: Option<Held>,
    end: Option<Settled>,
    /// What is to be done with the message, if it goes on.
    pub(crate) actions: Vec<MessageAction>,
    /// How the walk goes on after what was weighed so far, unless both deferrals are held: see [`Scales::go_on`].
    pub(crate) next: Next,
}

/// A word that may count later.
#[derive(Clone, Debug)]
struct Held {
    stage: Stage,
    restriction: &'static str,
    reason: Reason,
    reply: Option<Box<Reply>>,
}

impl Held {
    fn settled(self, verdict: Verdict) -> Settled {
        Settled {
            verdict,
            reply: self.reply.map(|reply| *reply),
            deferral: Deferral::None,
            stage: self.stage,
            restriction: Some(self.restriction),
            reason: self.reason,
        }
    }
}

impl Scales {
    pub(crate) fn new() -> Self {
        Self {
            if_permit: None,
            if_reject: None,
            hold: None,
            permit: None,
            end: None,
            actions: Vec::new(),
            next: Next::Restriction,
        }
    }

    /// A list begins that shares no `DEFER_IF_REJECT` with those before (Postfix: SMTPD_CHECK_RESET).
    pub(crate) fn begin_stage(&mut self) {
        self.if_reject = None;
    }

    /// A list begins: what has ended the one before does not end it.
    pub(crate) fn begin_list(&mut self) {
        if self.next == Next::List {
            self.next = Next::Restriction;
        }
    }

    /// What the lists so far deferred unless something permits it counts no more.
    pub(crate) fn forget_if_permit(&mut self) {
        self.if_permit = None;
    }

    /// Weighs one ruling, under `warn_if_reject` or not. Returns what it came to.
    pub(crate) fn weigh(&mut self, says: Says, stage: Stage, restriction: &'static str, warn: bool) -> Outcome {
        // A fault of the configuration is never only a warning.
        let warn = warn && !matches!(&says, Says::Unknown(Unknown { class: UnknownClass::Table, .. }));
        let says = match says {
            // Most have nothing to say.
            Says::Dunno | Says::Restrictions(_) => return Outcome::Dunno,
            Says::Message(action) => {
                self.actions.push(*action);
                return Outcome::Dunno;
            }
            Says::Unknown(unknown) => when_unknown(unknown),
            says => says,
        };
        let held = |reply, reason| Held { stage, restriction, reason, reply };
        let (outcome, next) = match says {
            Says::Permit(reason) => {
                self.permit = Some(held(None, reason));
                (Outcome::Permit, Next::List)
            }
            Says::Refuse(..) if warn => (Outcome::Warn, Next::Restriction),
            Says::Refuse(reply, reason) => self.refuse(held(Some(reply), reason)),
            Says::DeferIfPermit(..) if warn => (Outcome::Warn, Next::Restriction),
            Says::DeferIfPermit(reply, reason) => {
                self.if_permit.get_or_insert(held(Some(reply), reason));
                (Outcome::DeferIfPermit, Next::Restriction)
            }
            Says::DeferIfReject(reply, reason) => {
                self.if_reject.get_or_insert(held(Some(reply), reason));
                (Outcome::DeferIfReject, Next::Restriction)
            }
            Says::Hold(reason) => {
                self.hold.get_or_insert(held(None, reason));
                (Outcome::Hold, Next::Restriction)
            }
            Says::Discard(reason) => {
                self.end = Some(held(None, reason).settled(Verdict::Discard));
                (Outcome::Discard, Next::End)
            }
            // when_unknown() leaves none of the latter.
            Says::Dunno | Says::Restrictions(_) | Says::Message(_) | Says::Unknown(_) => {
                (Outcome::Dunno, Next::Restriction)
            }
        };
        self.next = next;
        outcome
    }

    /// How the walk goes on behind a restriction, whatever it said. Once both deferrals are held it will be a deferral
    /// come what may: each list ends behind the first restriction that it asks (Postfix: generic_checks).
    pub(crate) fn go_on(&mut self) -> Next {
        if self.next == Next::Restriction && self.if_permit.is_some() && self.if_reject.is_some() {
            self.next = Next::List;
        }
        self.next
    }

    fn refuse(&mut self, refusal: Held) -> (Outcome, Next) {
        let for_good = refusal.reply.as_ref().is_some_and(|reply| !reply.is_temporary());
        let outcome = if for_good { Outcome::Reject } else { Outcome::Defer };
        let held = if for_good { self.if_reject.take().unwrap_or(refusal) } else { refusal };
        let for_now = held.reply.as_ref().is_some_and(|reply| reply.is_temporary());
        self.end = Some(held.settled(if for_now { Verdict::Defer } else { Verdict::Reject }));
        (outcome, Next::End)
    }

    /// The verdict, now that the lists of `stage` have ended.
    pub(crate) fn settle(self, stage: Stage) -> Settled {
        match self.end {
            Some(end) if end.verdict != Verdict::Discard => return end,
            end => {
                if let Some(held) = self.if_permit {
                    // Before RCPT nobody is deferred yet, and what turns a rejection around ends with its stage.
                    let is_sure = self.if_reject.is_some() && stage >= Stage::Rcpt;
                    let deferral = if is_sure { Deferral::None } else { Deferral::IfPermit };
                    return Settled { deferral, ..held.settled(Verdict::Defer) };
                }
                if let Some(discard) = end {
                    return discard;
                }
            }
        }
        let deferral = match self.if_reject.and_then(|held| held.reply) {
            Some(reply) => Deferral::IfReject(*reply),
            None => Deferral::None,
        };
        let permitted = match (self.hold, self.permit) {
            (Some(hold), _) => hold.settled(Verdict::Hold),
            (None, Some(permit)) => permit.settled(Verdict::Permit),
            (None, None) => Settled::no_objection(stage),
        };
        Settled { deferral, ..permitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruling::Ruling;

    /// Weighs a line of words, list by list: `p` permit, `d` dunno, `r` 554, `t` 450, `P` DEFER_IF_PERMIT,
    /// `R` DEFER_IF_REJECT, `h` hold, `x` discard, `m` a word on the message, `w` before a word warn_if_reject, `/` the
    /// next list, `|` the next stage. Returns verdict, code and deferral.
    fn weigh(words: &str) -> String {
        let mut scales = Scales::new();
        'walk: for stage in words.split('|') {
            scales.begin_stage();
            for list in stage.split('/') {
                scales.begin_list();
                let mut warn = false;
                for word in list.chars() {
                    if word == 'w' {
                        warn = true;
                        continue;
                    }
                    scales.weigh(ruling(word).says, Stage::Rcpt, "x", std::mem::take(&mut warn));
                    match scales.go_on() {
                        Next::Restriction => {}
                        Next::List => break,
                        Next::End => break 'walk,
                    }
                }
            }
        }
        let settled = scales.settle(Stage::Rcpt);
        let code = settled.reply.map_or(String::new(), |reply| format!(" {}", reply.code));
        let deferral = match settled.deferral {
            Deferral::None => "",
            Deferral::IfPermit => " if_permit",
            Deferral::IfReject(_) => " if_reject",
        };
        format!("{}{code}{deferral}", settled.verdict)
    }

    fn ruling(word: char) -> Ruling {
        let reason = Reason::Configured;
        let reply = |code| Reply::new(code, "5.7.1", "x");
        let unknown = |class| Ruling::unknown(class, reply(450));
        match word {
            'p' => Ruling::permit(reason),
            'r' => Ruling::refuse(reply(554), reason),
            't' => Ruling::refuse(reply(451), reason),
            'P' => Says::DeferIfPermit(reply(450).into(), reason).into(),
            'R' => Says::DeferIfReject(reply(452).into(), reason).into(),
            'm' => Says::Message(MessageAction::Prepend("X: y".into()).into()).into(),
            'h' => Says::Hold(reason).into(),
            'x' => Says::Discard(reason).into(),
            '1' => unknown(UnknownClass::ClientName),
            '2' => unknown(UnknownClass::Domain(TempfailAction::DeferIfPermit)),
            '6' => unknown(UnknownClass::Domain(TempfailAction::Defer)),
            '3' => unknown(UnknownClass::BlockList),
            '4' => unknown(UnknownClass::WelcomeList),
            '5' => unknown(UnknownClass::Table),
            _ => Ruling::dunno(),
        }
    }

    #[test]
    fn what_outweighs_what() {
        for (words, expected) in [
            ("", "permit"),
            ("ddd", "permit"),
            ("pr", "permit"),
            ("p/r", "reject 554"),
            ("t/r", "defer 451"),
            ("wrd", "permit"),
            ("wrr", "reject 554"),
            ("wp/r", "reject 554"),
            // DEFER_IF_PERMIT: a later rejection wins, a permit does not.
            ("P", "defer 450 if_permit"),
            ("Pp", "defer 450 if_permit"),
            ("P|p/p", "defer 450 if_permit"),
            ("P|r", "reject 554"),
            ("P|t", "defer 451"),
            ("wP", "permit"),
            // DEFER_IF_REJECT: turns a later rejection for good; ends with its stage.
            ("R", "permit if_reject"),
            ("Rr", "defer 452"),
            ("R/r", "defer 452"),
            ("R|r", "reject 554"),
            ("R|d", "permit"),
            ("Rt", "defer 451"),
            ("Rwr", "permit if_reject"),
            // Both: whatever comes, it is a deferral; the list ends there.
            ("RPr", "defer 450"),
            ("PRr", "defer 450"),
            ("PR/r", "defer 452"),
            ("PR/dr", "defer 450"),
            ("PR/mr", "defer 450"),
            ("PR/d/r", "defer 452"),
            // HOLD waits for the end, DISCARD does not.
            ("h", "hold"),
            ("hr", "reject 554"),
            ("hP", "defer 450 if_permit"),
            ("xr", "discard"),
            ("x/r", "discard"),
            ("Px", "defer 450 if_permit"),
            ("hx", "discard"),
            // No answer.
            ("1", "defer 450"),
            ("w1", "permit"),
            ("2", "defer 450 if_permit"),
            ("2r", "reject 554"),
            ("6r", "defer 450"),
            ("w6", "permit"),
            ("3", "permit"),
            ("4", "permit if_reject"),
            ("4r", "defer 450"),
            ("5", "defer 450"),
            // A fault of the configuration is never only a warning.
            ("w5", "defer 450"),
        ] {
            assert_eq!(weigh(words), expected, "{words}");
        }
    }
}
