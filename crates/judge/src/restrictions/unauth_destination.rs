//! `permit_auth_destination`, `reject_unauth_destination`, `defer_unauth_destination`.

use facts::Reason;

use crate::case::Case;
use crate::destination::Destination;
use crate::reply::reply;
use crate::restriction::Subject;
use crate::ruling::Ruling;

/// Permits recipients that are ours or passed on by us.
pub(super) fn permit_auth_destination(case: &Case) -> Ruling {
    match case.destination(Subject::Recipient) {
        Some(destination) if destination.is_authorized() => Ruling::permit(Reason::OwnDestination),
        _ => Ruling::dunno(),
    }
}

/// Refuses recipients that are neither ours nor passed on by us, with `code` (Postfix: relay_domains_reject_code).
pub(super) fn refuse(case: &Case, code: u16) -> Ruling {
    let Some(recipient) = case.recipient() else { return Ruling::dunno() };
    if case.destination(Subject::Recipient).is_none_or(Destination::is_authorized) {
        return Ruling::dunno();
    }
    Ruling::refuse(reply(code, "5.7.1", format!("<{recipient}>: Relay access denied")), Reason::RelayDenied)
}
