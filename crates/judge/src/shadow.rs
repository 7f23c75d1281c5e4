//! Shadow: what relay control says is weighed beside everything else, since it alone is enforced then.
//!
//! The walk goes on behind a refusal that is not carried out, up to the last word of relay control. On that way only what
//! may let the client pass is asked, and relay control itself.

use facts::{Enforced, MessageAction, Outcome, Reason, Refusal, Stage};

use crate::config::Mode;
use crate::place::Mistake;
use crate::restriction::{Access, Kind, Restriction};
use crate::ruling::{Says, Unknown, UnknownClass};
use crate::settings::List;
use crate::verdict::{Next, Scales, Settled, when_unknown};

/// The list that holds relay control and nothing else (Postfix: `smtpd_relay_restrictions`).
pub(crate) const RELAY: &str = "relay";

/// The scales of one decision.
pub(crate) struct Balance {
    /// What everything says: the decision.
    whole: Scales,
    /// What relay control says, in shadow.
    relay: Option<Scales>,
}

impl Balance {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { whole: Scales::new(), relay: (mode == Mode::Shadow).then(Scales::new) }
    }

    /// One for relay control alone: all else is settled already.
    pub(crate) fn of_relay_control() -> Self {
        let mut balance = Self::new(Mode::Shadow);
        balance.whole.next = Next::End;
        balance
    }

    /// Each of the scales.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Scales> {
        std::iter::once(&mut self.whole).chain(&mut self.relay)
    }

    /// How the walk goes on behind a restriction. Relay control never ends it before everything does.
    pub(crate) fn go_on(&mut self) -> Next {
        let whole = self.whole.go_on();
        self.relay.as_mut().map_or(whole, Scales::go_on)
    }

    /// Whether it matters what `restriction` says, which stands at this place of the list or is named there by a row.
    pub(crate) fn hears(&self, list: &List, position: usize, restriction: &Restriction) -> bool {
        let is_of_relay_control = || restriction.may_permit() || holds_relay_control(list, restriction);
        self.whole.next == Next::Restriction || position < list.relay_control_end && is_of_relay_control()
    }

    /// Weighs what `restriction` says, under `warn_if_reject` or not. Returns what it came to.
    pub(crate) fn weigh(&mut self, says: Says, list: &List, restriction: &Restriction, warn: bool) -> Outcome {
        if let Some(relay) = &mut self.relay {
            let enforced = enforced(says.clone(), is_relay_control(list, restriction), warn);
            let outcome = relay.weigh(enforced, list.stage, restriction.text, warn);
            if self.whole.next != Next::Restriction {
                return outcome;
            }
        }
        self.whole.weigh(says, list.stage, restriction.text, warn)
    }

    /// The decision now that the lists of `stage` have ended, what it wants done with the message, and how much of it is
    /// carried out.
    pub(crate) fn settle(mut self, stage: Stage) -> (Settled, Vec<MessageAction>, Enforced) {
        let actions = std::mem::take(&mut self.whole.actions);
        let enforced = match self.relay.map(|relay| relay.settle(stage)) {
            None => Enforced::Whole,
            Some(Settled { reply: Some(reply), deferral, .. }) => {
                Enforced::RelayControl(Refusal { reply, deferral }.into())
            }
            Some(_) => Enforced::Nothing,
        };
        (self.whole.settle(stage), actions, enforced)
    }
}

/// What an administrator is told at every start in shadow.
pub(crate) fn warning(mode: Mode) -> Option<Mistake> {
    let message =
        "in shadow: everything is decided and kept in the journal, and nothing is carried out but relay control";
    (mode == Mode::Shadow).then(|| Mistake { place: None, message: message.into() })
}

/// Where relay control has its last word in a list: behind it nothing matters in shadow.
pub(crate) fn relay_control_end(list: &List) -> usize {
    let last = list.restrictions.iter().rposition(|restriction| holds_relay_control(list, restriction));
    last.map_or(0, |last| last + 1)
}

/// Whether what `restriction` refuses in this list is refused in shadow too: whatever the relay list says, and wherever
/// they stand `reject_unauth_destination` and its twin. Nobody has to come back for the sake of greylisting.
pub(crate) fn is_relay_control(list: &List, restriction: &Restriction) -> bool {
    match restriction.kind {
        Kind::RejectUnauthDestination | Kind::DeferUnauthDestination => true,
        Kind::CheckGreylist => false,
        _ => list.name == RELAY,
    }
}

/// The same of a restriction, or of one that rows of its table name.
fn holds_relay_control(list: &List, restriction: &Restriction) -> bool {
    let in_rows = |access: &Access| {
        let mut named = access.lists.values().flat_map(|row| row.iter());
        named.any(|restriction| holds_relay_control(list, restriction))
    };
    is_relay_control(list, restriction)
        || match &restriction.kind {
            Kind::CheckAccess(_, access) | Kind::CheckServerAccess(_, _, access) => in_rows(access),
            _ => false,
        }
}

/// What counts in shadow of what a restriction says, under `warn_if_reject` or not.
fn enforced(says: Says, is_relay_control: bool, warn: bool) -> Says {
    match says {
        Says::Hold(_) | Says::Discard(_) | Says::Message(_) => Says::Dunno,
        says if is_relay_control => says,
        // Had it answered, it might have let the client pass: relay control must not refuse for good.
        Says::Unknown(Unknown { class: UnknownClass::Table, reply }) => {
            Says::DeferIfReject(reply, Reason::TableFailure)
        }
        Says::Refuse(reply, reason @ (Reason::TableFailure | Reason::PolicyFailure)) if !warn => {
            Says::DeferIfReject(reply, reason)
        }
        Says::Unknown(unknown) => enforced(when_unknown(unknown), is_relay_control, warn),
        Says::Refuse(..) | Says::DeferIfPermit(..) => Says::Dunno,
        says => says,
    }
}
