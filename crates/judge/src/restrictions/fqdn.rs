//! `reject_non_fqdn_sender`, `reject_non_fqdn_recipient`.

use facts::{Reason, hostname};

use super::helo_hostname::without_dot;
use crate::case::Case;
use crate::reply::Named;
use crate::restriction::Subject;
use crate::ruling::Ruling;

/// Refuses an address whose domain is not a full one. Address literals and the null sender pass.
pub(super) fn reject_non_fqdn(case: &Case, subject: Subject) -> Ruling {
    let Some(address) = case.address(subject) else { return Ruling::dunno() };
    let domain = address.domain().unwrap_or_default();
    let is_literal = domain.starts_with('[') && domain.ends_with(']');
    let name = without_dot(domain);
    // A domain in another script is a name for those who speak SMTPUTF8, and for nobody else.
    if is_literal || hostname::is_hostname(name) && name.contains('.') {
        return Ruling::dunno();
    }
    let named = Named { name: address.as_str(), class: subject.reply_class() };
    let reason = if subject == Subject::Sender { Reason::SenderNotFqdn } else { Reason::RecipientNotFqdn };
    let code = case.settings.postfix.non_fqdn_reject_code.0;
    Ruling::refuse(named.rejected(code, "4.5.2", "need fully-qualified address"), reason)
}
