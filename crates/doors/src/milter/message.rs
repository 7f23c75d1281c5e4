//! One message on its way: what the decisions on its recipients want done with it, once it is whole.

use facts::{Decision, Effect, EmailAddress, MessageAction, Recipient, Verdict};
use wire::milter::{Change, Header, Reply, Terms};

use super::verdict_header::VerdictHeader;

/// The recipients of one message; further ones must come with another (Postfix: `smtpd_recipient_limit`).
pub(super) const RECIPIENTS_MAX: usize = 1000;
/// The headers that the recipients of one message may put before it, and the copies that they may ask for.
pub(super) const ACTIONS_MAX: usize = 100;

/// A message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Those that were taken.
    pub(super) recipients: Vec<Recipient>,
    /// Whether it is thrown away. Nobody is asked about it any more then, as with Postfix's own lists.
    pub(super) discard: bool,
    /// Why it is held, if it is: what the administrator reads.
    hold: Option<String>,
    prepended: Vec<Box<str>>,
    /// To whom copies are sent.
    bcc: Vec<EmailAddress>,
    /// To whom it is sent instead of its recipients: the last word counts, as with Postfix.
    redirect: Option<EmailAddress>,
    /// What its recipients are told of all that, where the administrator wants it.
    verdict_header: Option<VerdictHeader>,
}

impl Message {
    /// A message that has just begun.
    pub(super) fn new(has_verdict_header: bool) -> Self {
        Self { verdict_header: has_verdict_header.then(VerdictHeader::default), ..Self::default() }
    }

    /// Looks at one of its headers.
    pub(super) fn hear(&mut self, header: &Header<'_>) {
        if let Some(verdict_header) = &mut self.verdict_header {
            verdict_header.hear(header);
        }
    }

    /// Remembers what a decision that lets it go on wants done with it. Mail servers want to know of all that at its end
    /// only.
    pub(super) fn take(&mut self, decision: &Decision) {
        let (Decision { id, restriction, .. }, Effect { verdict, actions, .. }) = (decision, decision.effect());
        if let Some(verdict_header) = &mut self.verdict_header {
            verdict_header.tell(decision);
        }
        if verdict == Verdict::Hold {
            self.hold.get_or_insert_with(|| format!("{}; id={id}", restriction.unwrap_or_default()));
        }
        self.discard |= verdict == Verdict::Discard;
        for action in actions {
            let is_full = self.prepended.len() + self.bcc.len() >= ACTIONS_MAX;
            match action {
                MessageAction::Redirect(address) => self.redirect = EmailAddress::new(address),
                MessageAction::Filter(_) => tracing::warn!("milter: this door cannot carry out {action}: id={id}"),
                _ if is_full => tracing::warn!("milter: over {ACTIONS_MAX} actions, {action} is left out: id={id}"),
                MessageAction::Prepend(header) => self.prepended.push(header.clone()),
                MessageAction::Bcc(address) => self.bcc.extend(EmailAddress::new(address)),
            }
        }
    }

    /// Appends what is to be done with the message, and the reply to its end.
    pub(super) fn push_end(&self, terms: Terms, out: &mut Vec<u8>) {
        if self.discard {
            return terms.push_reply(Reply::Discard, out);
        }
        if let Some(verdict_header) = &self.verdict_header {
            if verdict_header.is_flooded() {
                let reply = facts::Reply::new(554, "5.6.0", "Too many X-Portcullis headers");
                return terms.push_reply(Reply::Code(&reply), out);
            }
            verdict_header.push(terms, out);
        }
        for (index, header) in (0..).zip(&self.prepended) {
            if let Some((name, value)) = header.split_once(':') {
                // Before all others, as Postfix does, and in their order.
                terms.push_change(Change::InsertHeader { index, name: name.trim(), value: value.trim() }, out);
            }
        }
        self.push_recipients(terms, out);
        if let Some(reason) = &self.hold {
            terms.push_change(Change::Quarantine(reason), out);
        }
        terms.push_reply(Reply::Continue, out);
    }

    /// Who is sent elsewhere needs no copies.
    fn push_recipients(&self, terms: Terms, out: &mut Vec<u8>) {
        let Some(redirect) = &self.redirect else {
            return self.bcc.iter().for_each(|address| terms.push_change(Change::AddRecipient(address), out));
        };
        for Recipient { address } in &self.recipients {
            terms.push_change(Change::DeleteRecipient(address), out);
        }
        terms.push_change(Change::AddRecipient(redirect), out);
    }
}
