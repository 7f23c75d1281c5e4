//! What speaks of whatever its list is about: `reject`, `defer`, `defer_if_permit`, `defer_if_reject`,
//! `reject_multi_recipient_bounce`.

use std::borrow::Cow;
use std::sync::Arc;

use facts::{DnsAnswer, EmailAddress, Reason, Reply, Stage};

use crate::case::Case;
use crate::maps::unavailable;
use crate::reply::Named;
use crate::restriction::{Kind, Subject};
use crate::ruling::{About, Ruling, Says};

// Postfix gives no choice here.
const DEFER_IF_CODE: u16 = 450;

/// Whether a restriction is one of these: it must know what its list is about.
pub(super) fn speaks_of_its_list(kind: &Kind) -> bool {
    use Kind::{Defer, DeferIfPermit, DeferIfReject, Reject, RejectMultiRecipientBounce};
    matches!(kind, Reject | Defer | DeferIfPermit | DeferIfReject | RejectMultiRecipientBounce)
}

pub(super) async fn reject(case: &Case, about: &About) -> Ruling {
    let topic = Topic::of(case, about).await;
    Ruling::refuse(topic.rejected(case.settings.postfix.reject_code.0, "5.7.1", "Access denied"), Reason::Configured)
        .on(topic.answers)
}

pub(super) async fn defer(case: &Case, about: &About) -> Ruling {
    let topic = Topic::of(case, about).await;
    Ruling::refuse(topic.rejected(case.settings.postfix.defer_code.0, "4.3.2", "Try again later"), Reason::Configured)
        .on(topic.answers)
}

pub(super) async fn defer_if_permit(case: &Case, about: &About) -> Ruling {
    let topic = Topic::of(case, about).await;
    let reply = topic.rejected(DEFER_IF_CODE, "4.7.0", "defer_if_permit requested");
    Ruling::from(Says::DeferIfPermit(reply.into(), Reason::Configured)).on(topic.answers)
}

pub(super) async fn defer_if_reject(case: &Case, about: &About) -> Ruling {
    let topic = Topic::of(case, about).await;
    let reply = topic.rejected(DEFER_IF_CODE, "4.7.0", "defer_if_reject requested");
    Ruling::from(Says::DeferIfReject(reply.into(), Reason::Configured)).on(topic.answers)
}

/// Refuses mail of the null sender to several recipients: a bounce has one.
pub(super) async fn reject_multi_recipient_bounce(case: &Case, about: &About) -> Ruling {
    let is_null_sender = case.facts.envelope.is_some() && case.sender().is_none();
    let count = case.facts.envelope.as_ref().and_then(|envelope| envelope.recipient_count);
    let Some(count @ 2..) = count.filter(|_| is_null_sender) else { return Ruling::dunno() };
    let topic = Topic::of(case, about).await;
    let reply =
        topic.rejected(case.settings.postfix.multi_recipient_bounce_reject_code.0, "5.5.3", "Multi-recipient bounce");
    Ruling::refuse(reply, Reason::MultiRecipientBounce).on(topic.answers).noting(format!("{count} recipients"))
}

/// What is spoken of (Postfix: reply_name, reply_class), and the answers from which the client's name is known.
pub(super) struct Topic<'a> {
    name: Cow<'a, str>,
    class: &'static str,
    pub(super) answers: Vec<Arc<DnsAnswer>>,
}

impl<'a> Topic<'a> {
    pub(super) async fn of(case: &'a Case, about: &'a About) -> Self {
        let stage = match about {
            About::Row { name, class } => return Self { name: (&**name).into(), class, answers: Vec::new() },
            About::List(stage) => stage,
        };
        let mut answers = Vec::new();
        let (name, class): (Cow<'_, str>, _) = match stage {
            Stage::Connect => {
                let looked = case.name(Subject::Client).await;
                answers = looked.answers;
                (case.name_and_address(&looked.name).into(), Subject::Client.reply_class())
            }
            Stage::Helo => (case.helo_name().unwrap_or_default().into(), Subject::Helo.reply_class()),
            Stage::Etrn => (case.said(Subject::Etrn).unwrap_or_default().into(), Subject::Etrn.reply_class()),
            Stage::Mail => (text(case.sender()).into(), Subject::Sender.reply_class()),
            Stage::Rcpt => (text(case.recipient()).into(), Subject::Recipient.reply_class()),
            Stage::Data => ("DATA".into(), "Data command"),
            Stage::EndOfData => ("END-OF-MESSAGE".into(), "End-of-data"),
        };
        Self { name, class, answers }
    }

    fn rejected(&self, code: u16, enhanced: &str, why: &str) -> Reply {
        self.named().rejected(code, enhanced, why)
    }

    pub(super) fn named(&self) -> Named<'_> {
        Named { name: &self.name, class: self.class }
    }

    /// What is said of it where a table or a list of networks cannot say anything.
    pub(super) fn unavailable(self, why: String) -> Ruling {
        unavailable(&self.name, why).on(self.answers)
    }
}

fn text(address: Option<&EmailAddress>) -> &str {
    address.map_or("", EmailAddress::as_str)
}
