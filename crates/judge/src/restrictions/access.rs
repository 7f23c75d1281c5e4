//! `check_client_access`, `check_reverse_client_hostname_access`, `check_helo_access`, `check_sender_access`,
//! `check_recipient_access`, `check_ccert_access`, `check_sasl_access`, `check_etrn_access`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use facts::{Reason, Reply, hostname};

use crate::case::{Case, Looked};
use crate::destination::Destination;
use crate::maps::{find_quoted, without_extension};
use crate::reply::{Named, enhanced_for, server_error};
use crate::restriction::{Access, Digest, Subject};
use crate::ruling::{About, OnPermit, Row, Ruling, Says, UnknownClass};
use crate::tables::action::{Action, Answer, Codes};
use crate::tables::lookup::{Hit, Lookup};

/// Looks the subject up in `table` and does what its row says (access(5)); `None` where somebody must be asked for the
/// client's name first.
pub(super) fn check_access(case: &Case, subject: Subject, access: &Access) -> Option<Ruling> {
    Some(match subject {
        Subject::Client | Subject::ReverseClient => check_client(case, subject, access, case.name_known(subject)?),
        Subject::Helo | Subject::Etrn => check_domain(case, subject, access),
        Subject::Sender | Subject::Recipient => check_address(case, subject, access),
        Subject::SaslUser => check_login(case, access),
        Subject::Certificate => check_certificate(case, access),
    })
}

/// The same for a client whose name must be asked for.
pub(super) async fn check_client_access(case: &Case, subject: Subject, access: &Access) -> Ruling {
    check_client(case, subject, access, case.name(subject).await)
}

fn check_client(case: &Case, subject: Subject, access: &Access, looked: Looked) -> Ruling {
    let name = looked.name.as_str();
    let lookup = access.lookup();
    let found = find_domain(case, &lookup, name).or_else(|| find_address_as_written(&lookup, case.address_text()));
    let ruling = if subject == Subject::Client {
        rule(case, access, found, subject, || case.name_and_address(&looked.name).into())
    } else {
        OnPermit::ServerError.applied(rule(case, access, found, subject, || name.into()))
    };
    ruling.on(looked.answers)
}

fn check_domain(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let Some(domain) = case.said(subject) else { return Ruling::dunno() };
    rule(case, access, find_domain(case, &access.lookup(), domain), subject, || domain.into())
}

fn check_login(case: &Case, access: &Access) -> Ruling {
    let Some(user) = case.sasl_username() else { return Ruling::dunno() };
    let visible = || user.chars().map(|c| if c.is_control() { '_' } else { c }).collect::<String>();
    rule(case, access, access.lookup().find(user), Subject::SaslUser, || visible().into())
}

/// By the digest of the certificate and by that of its key. A reply names who it was made for, where its issuer is
/// trusted: of other certificates nobody tells us.
fn check_certificate(case: &Case, access: &Access) -> Ruling {
    let Some(certificate) = case.certificate() else { return Ruling::dunno() };
    let name = certificate.trusted_name.as_deref().unwrap_or_default();
    let lookup = access.lookup();
    let mut ruling = Ruling::dunno();
    let digests = access.search_order.iter().map(|digest| match digest {
        Digest::Certificate => &certificate.fingerprint,
        Digest::PublicKey => &certificate.pubkey_fingerprint,
    });
    for digest in digests.filter(|digest| !digest.is_empty()) {
        ruling = rule(case, access, lookup.find(digest), Subject::Certificate, || name.into());
        if !matches!(ruling.says, Says::Dunno) {
            break;
        }
    }
    ruling
}

fn check_address(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let lookup = access.lookup();
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        let is_null_sender = subject == Subject::Sender && case.facts.envelope.is_some();
        let found = is_null_sender.then(|| lookup.find(&case.settings.postfix.smtpd_null_access_lookup_key)).flatten();
        return rule(case, access, found, subject, || "".into());
    };
    let found = find_mail_address(case, &lookup, destination);
    let ruling = rule(case, access, found, subject, || address.as_str().into());
    // A recipient with a route inside may lead anywhere: too suspicious for an OK.
    let is_suspicious = subject == Subject::Recipient && destination.routed;
    if is_suspicious { OnPermit::Dunno.applied(ruling) } else { ruling }
}

/// The name, then its parents up to the top-level domain; a name in digits has no parents.
pub(super) fn find_domain<'a>(case: &Case, lookup: &Lookup<'a>, name: &str) -> Option<Hit<'a>> {
    if name.is_empty() {
        return None;
    }
    let parents = || (!hostname::is_address(name)).then(|| find_parents(case, lookup, name)).flatten();
    lookup.find(name).or_else(parents)
}

/// Parents stand in a table by their name, or with a dot before it, as the administrator has it
/// (parent_domain_matches_subdomains).
fn find_parents<'a>(case: &Case, lookup: &Lookup<'a>, name: &str) -> Option<Hit<'a>> {
    let after_dot = usize::from(case.settings.access_parents_match);
    // A leading dot belongs to the first label, so that ".a.b" has the parent "b" alone, as in Postfix.
    let above = |name: &str| name.bytes().skip(1).position(|octet| octet == b'.').map(|dot| dot + 1 + after_dot);
    let mut rest = name;
    while let Some(start) = above(rest).filter(|start| *start < rest.len()) {
        rest = &rest[start..];
        if let Some(found) = lookup.find_part(rest) {
            return Some(found);
        }
    }
    None
}

/// The address, then its networks by whole octets (IPv4) or groups (IPv6).
pub(super) fn find_address<'a>(lookup: &Lookup<'a>, address: IpAddr) -> Option<Hit<'a>> {
    find_address_as_written(lookup, &hostname::address_text(address))
}

/// The same for an address as somebody wrote it: `010.001.0.1` is another key than `10.1.0.1`.
pub(super) fn find_address_as_written<'a>(lookup: &Lookup<'a>, address: &str) -> Option<Hit<'a>> {
    let separator = if address.contains(':') { ':' } else { '.' };
    let mut parents =
        std::iter::successors(address.rsplit_once(separator), |(parent, _)| parent.rsplit_once(separator));
    lookup.find(address).or_else(|| parents.find_map(|(parent, _)| lookup.find_part(parent)))
}

/// `user+extension@domain`, `user@domain`, the domain and its parents, `user+extension@`, `user@`.
fn find_mail_address<'a>(case: &Case, lookup: &Lookup<'a>, destination: &Destination) -> Option<Hit<'a>> {
    let (address, domain) = (&*destination.address, destination.domain());
    let local_part = address.strip_suffix(domain).unwrap_or(address);
    let bare = local_part
        .strip_suffix('@')
        .and_then(|user| without_extension(user, &case.settings.postfix.recipient_delimiter));
    let find_part = |key: &str| lookup.find_part(key);
    find_quoted(address, |key| lookup.find(key))
        .or_else(|| find_quoted(&format!("{}@{domain}", bare?), find_part))
        .or_else(|| lookup.find_part(domain))
        .or_else(|| find_parents(case, lookup, domain))
        .or_else(|| find_quoted(local_part, find_part))
        .or_else(|| find_quoted(&format!("{}@", bare?), find_part))
}

/// What the row that was found says of the subject that the client calls `name`.
pub(super) fn rule<'a>(
    case: &Case,
    access: &Access,
    hit: Option<Hit<'_>>,
    subject: Subject,
    name: impl Fn() -> Cow<'a, str>,
) -> Ruling {
    let Some(found) = hit else { return Ruling::dunno() };
    let name = &*name();
    let named = Named { name, class: subject.reply_class() };
    let row = match found {
        Ok(row) => row,
        // As if a row said so. Unlike a mistake in a row it may be only a warning.
        Err(why) => {
            let reply = named.rejected(451, "4.3.5", "Server configuration error");
            return Ruling::refuse(reply, Reason::TableFailure).noting(why);
        }
    };
    let ruling = carried_out(case, &row.value, named, Reason::AccessTable).unwrap_or_else(|| {
        let Some(restrictions) = access.lists.get(&*row.value) else {
            return Ruling::unknown(UnknownClass::Table, server_error()).noting("not an action");
        };
        let about = About::Row { name: name.into(), class: subject.reply_class() };
        let named = Row { restrictions: Arc::clone(restrictions), about, on_permit: OnPermit::Permit };
        Says::Restrictions(named.into()).into()
    });
    ruling.with(row.evidence())
}

/// What an action comes to of what `named` names; `None` where `value` is none.
pub(super) fn carried_out(case: &Case, value: &str, named: Named<'_>, reason: Reason) -> Option<Ruling> {
    let reply = |answer: &Answer<'_>| -> Box<Reply> {
        named.rejected(answer.code, enhanced_for(answer.enhanced, named.class), answer.text).into()
    };
    let parameters = &case.settings.postfix;
    let codes = Codes { reject: parameters.access_map_reject_code.0, defer: parameters.access_map_defer_code.0 };
    Some(match Action::parse(value, codes) {
        Action::Ok => Says::Permit(reason).into(),
        Action::Dunno => Ruling::dunno(),
        Action::Refuse(answer) => Says::Refuse(reply(&answer), reason).into(),
        Action::DeferIfPermit(answer) => Says::DeferIfPermit(reply(&answer), reason).into(),
        Action::DeferIfReject(answer) => Says::DeferIfReject(reply(&answer), reason).into(),
        // Outside of a mail transaction there is no message to keep or to throw away.
        Action::Hold | Action::Discard | Action::Message(_) if case.facts.envelope.is_none() => Ruling::dunno(),
        Action::Hold => Says::Hold(reason).into(),
        Action::Discard => Says::Discard(reason).into(),
        Action::Message(action) => Says::Message(action.into()).into(),
        Action::Incomplete(needs) => Ruling::dunno().noting(needs),
        Action::Unusable => return None,
    })
}
