//! How much of a decision is carried out: all of it, or in shadow only what relay control refuses.

use crate::{Decision, Deferral, MessageAction, Reply, Verdict};

/// How much of a decision is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforced {
    /// All of it.
    Whole,
    /// Nothing: the server is in shadow, and the mail goes on.
    Nothing,
    /// What relay control refuses, whatever else was found: the server is in shadow, but strangers relay no mail.
    RelayControl(Box<Refusal>),
}

/// What relay control says to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told.
    pub reply: Reply,
    /// Whether a later list of Postfix may still refuse for good.
    pub deferral: Deferral,
}

/// A decision as far as it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    /// What becomes of the mail.
    pub verdict: Verdict,
    /// What the client is told, without the id; `None` where the mail goes on.
    pub reply: Option<&'a Reply>,
    /// Whether and how later lists of Postfix may change it.
    pub deferral: &'a Deferral,
    /// What is done with the message.
    pub actions: &'a [MessageAction],
}

impl Enforced {
    /// Whether the server was in shadow.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        *self != Self::Whole
    }

    /// What the client is told although the server is in shadow.
    #[must_use]
    pub fn refusal(&self) -> Option<&Reply> {
        match self {
            Self::RelayControl(refusal) => Some(&refusal.reply),
            Self::Whole | Self::Nothing => None,
        }
    }
}

impl Decision {
    /// What the doors do.
    #[must_use]
    pub fn effect(&self) -> Effect<'_> {
        match &self.enforced {
            Enforced::Whole => Effect {
                verdict: self.verdict,
                reply: self.reply.as_ref(),
                deferral: &self.deferral,
                actions: &self.actions,
            },
            Enforced::Nothing => {
                Effect { verdict: Verdict::Permit, reply: None, deferral: &Deferral::None, actions: &[] }
            }
            Enforced::RelayControl(refusal) => {
                let Refusal { reply, deferral } = &**refusal;
                let verdict = if reply.is_temporary() { Verdict::Defer } else { Verdict::Reject };
                Effect { verdict, reply: Some(reply), deferral, actions: &[] }
            }
        }
    }
}
