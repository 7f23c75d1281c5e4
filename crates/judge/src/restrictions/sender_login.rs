//! `reject_sender_login_mismatch`, `reject_authenticated_sender_login_mismatch`,
//! `reject_unauthenticated_sender_login_mismatch`, `reject_known_sender_login_mismatch`.

use facts::{EmailAddress, Reason};

use crate::case::Case;
use crate::maps::unavailable;
use crate::reply::Named;
use crate::restriction::{Logins, Subject};
use crate::ruling::Ruling;
use crate::tables::lookup::Row;

// Postfix gives no choice here.
const CODE: u16 = 553;

/// Refuses senders that are somebody else's in `smtpd_sender_login_maps`.
pub(super) fn reject_sender_login_mismatch(case: &Case, logins: Logins) -> Ruling {
    let maps = &case.settings.maps.smtpd_sender_login_maps;
    let (Some(sender), Some(destination)) = (case.sender(), case.destination(Subject::Sender)) else {
        return Ruling::dunno();
    };
    if maps.is_empty() {
        return Ruling::dunno();
    }
    let user = case.sasl_username();
    if matches!((user, logins), (Some(_), Logins::Unauthenticated) | (None, Logins::Authenticated)) {
        return Ruling::dunno();
    }
    let owned = match maps.find_address(destination, &case.settings.postfix.recipient_delimiter).transpose() {
        Ok(owned) => owned,
        Err(why) => return unavailable(sender.as_str(), why),
    };
    match user {
        Some(user) => rule_login(sender, user, owned.as_ref(), logins == Logins::Known),
        None => rule_stranger(sender, owned.as_ref()),
    }
}

/// Who has logged in must own the sender, if anybody does; without `or_nobody`, even if nobody does.
fn rule_login(sender: &EmailAddress, user: &str, owned: Option<&Row<'_>>, or_nobody: bool) -> Ruling {
    let Some(owned) = owned else {
        return if or_nobody { Ruling::dunno() } else { not_owned(sender, user).noting("nobody owns the sender") };
    };
    let mut owners = owned.value.split([',', ' ', '\t', '\r', '\n']);
    let ruling = if owners.any(|owner| owner.to_lowercase() == user.to_lowercase()) {
        Ruling::dunno()
    } else {
        not_owned(sender, user)
    };
    ruling.with(owned.evidence())
}

/// Who has not logged in must not use a sender that somebody owns.
fn rule_stranger(sender: &EmailAddress, owned: Option<&Row<'_>>) -> Ruling {
    let Some(owned) = owned else { return Ruling::dunno() };
    refused(sender, "not logged in").with(owned.evidence())
}

fn not_owned(sender: &EmailAddress, user: &str) -> Ruling {
    refused(sender, &format!("not owned by user {user}"))
}

fn refused(sender: &EmailAddress, why: &str) -> Ruling {
    let named = Named { name: sender.as_str(), class: Subject::Sender.reply_class() };
    Ruling::refuse(named.rejected(CODE, "5.7.1", why), Reason::SenderNotOwned)
}
