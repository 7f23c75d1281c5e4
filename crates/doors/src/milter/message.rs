//! One message on its way: what the decisions on its recipients want done with it, once it is whole.

use facts::{Decision, MessageAction, Recipient, Verdict};
use wire::milter::{Change, Reply, Terms};

/// The headers that the recipients of one message may put before it, all together.
pub(super) const PREPENDED_MAX: usize = 100;

/// A message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// How many recipients were taken.
    pub(super) recipient_count: u32,
    /// The first of them.
    pub(super) first_recipient: Option<Recipient>,
    /// Why it is held, if it is: what the administrator reads.
    hold: Option<String>,
    /// Whether it is thrown away. Nobody is asked about it any more then, as with Postfix's own lists.
    pub(super) discard: bool,
    prepended: Vec<Box<str>>,
}

impl Message {
    /// Remembers what a decision that lets it go on wants done with it. Mail servers want to know of all that at its end
    /// only, and a recipient must not decide for those after it.
    pub(super) fn take(&mut self, decision: &Decision) {
        let Decision { id, verdict, restriction, actions, .. } = decision;
        if *verdict == Verdict::Hold {
            self.hold.get_or_insert_with(|| format!("{}; id={id}", restriction.unwrap_or_default()));
        }
        self.discard |= *verdict == Verdict::Discard;
        for action in actions {
            match action {
                MessageAction::Prepend(_) if self.prepended.len() >= PREPENDED_MAX => {
                    tracing::warn!("milter: over {PREPENDED_MAX} headers for one message: left out: id={id}");
                }
                MessageAction::Prepend(header) => self.prepended.push(header.clone()),
                other => tracing::warn!("milter: this door cannot carry out {other}: id={id}"),
            }
        }
    }

    /// Appends what is to be done with the message, and the reply to its end.
    pub(super) fn push_end(&self, terms: Terms, out: &mut Vec<u8>) {
        if self.discard {
            return terms.push_reply(Reply::Discard, out);
        }
        for (index, header) in (0..).zip(&self.prepended) {
            if let Some((name, value)) = header.split_once(':') {
                // Before all others, as Postfix does, and in their order.
                terms.push_change(Change::InsertHeader { index, name: name.trim(), value: value.trim() }, out);
            }
        }
        if let Some(reason) = &self.hold {
            terms.push_change(Change::Quarantine(reason), out);
        }
        terms.push_reply(Reply::Continue, out);
    }
}
