//! `check_client_access`, `check_reverse_client_hostname_access`, `check_helo_access`, `check_sender_access`,
//! `check_recipient_access`, `check_ccert_access`, `check_sasl_access`, `check_etrn_access`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use facts::{Evidence, Reason, Reply, hostname};

use crate::case::{Case, Looked};
use crate::destination::Destination;
use crate::maps::{quoted_form, without_extension};
use crate::reply::{Named, enhanced_for, server_error};
use crate::restriction::{Access, Subject};
use crate::ruling::{About, OnPermit, Row, Ruling, Says, UnknownClass};
use crate::tables::action::{Action, Answer, Codes};
use crate::tables::{Found, Table, Unavailable};

/// The longest text of an address.
const ADDRESS_LENGTH_MAX: usize = 45;

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
    let found = find_domain(case, &access.table, name).or_else(|| find_address(&access.table, case.client().address));
    let ruling = if subject == Subject::Client {
        rule(case, access, found, subject, || case.name_and_address(&looked.name).into())
    } else {
        OnPermit::ServerError.applied(rule(case, access, found, subject, || name.into()))
    };
    ruling.on(looked.answers)
}

fn check_domain(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let Some(domain) = case.said(subject) else { return Ruling::dunno() };
    rule(case, access, find_domain(case, &access.table, domain), subject, || domain.into())
}

fn check_login(case: &Case, access: &Access) -> Ruling {
    let Some(user) = case.sasl_username() else { return Ruling::dunno() };
    let visible = || user.chars().map(|c| if c.is_control() { '_' } else { c }).collect::<String>();
    rule(case, access, find(&access.table, user), Subject::SaslUser, || visible().into())
}

/// By the digest of the certificate, then by that of its key. A reply names who it was made for, where its issuer is
/// trusted: of other certificates nobody tells us.
fn check_certificate(case: &Case, access: &Access) -> Ruling {
    let Some(certificate) = case.certificate() else { return Ruling::dunno() };
    let name = certificate.trusted_name.as_deref().unwrap_or_default();
    let mut ruling = Ruling::dunno();
    for digest in [&certificate.fingerprint, &certificate.pubkey_fingerprint].into_iter().filter(|it| !it.is_empty()) {
        ruling = rule(case, access, find(&access.table, digest), Subject::Certificate, || name.into());
        if !matches!(ruling.says, Says::Dunno) {
            break;
        }
    }
    ruling
}

fn check_address(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let table = &access.table;
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        let is_null_sender = subject == Subject::Sender && case.facts.envelope.is_some();
        let found = is_null_sender.then(|| find(table, &case.settings.postfix.smtpd_null_access_lookup_key)).flatten();
        return rule(case, access, found, subject, || "".into());
    };
    let found = find_mail_address(case, table, destination);
    let ruling = rule(case, access, found, subject, || address.as_str().into());
    // A recipient with a route inside may lead anywhere: too suspicious for an OK.
    let is_suspicious = subject == Subject::Recipient && destination.routed;
    if is_suspicious { OnPermit::Dunno.applied(ruling) } else { ruling }
}

/// A key that was found, and what the table says of it; or that it cannot say anything, which ends the search too.
pub(super) type Hit<'a> = Result<(String, Found<'a>), Unavailable>;

fn find<'a>(table: &'a Table, key: &str) -> Option<Hit<'a>> {
    table.find(key).map(|found| found.map(|found| (key.to_owned(), found))).transpose()
}

fn find_part<'a>(table: &'a Table, key: &str) -> Option<Hit<'a>> {
    table.find_part(key).map(|found| found.map(|found| (key.to_owned(), found))).transpose()
}

/// The name, then its parents up to the top-level domain; a name in digits has no parents.
pub(super) fn find_domain<'a>(case: &Case, table: &'a Table, name: &str) -> Option<Hit<'a>> {
    if name.is_empty() {
        return None;
    }
    find(table, name).or_else(|| (!hostname::is_address(name)).then(|| find_parents(case, table, name)).flatten())
}

/// Parents stand in a table by their name, or with a dot before it, as the administrator has it
/// (parent_domain_matches_subdomains).
fn find_parents<'a>(case: &Case, table: &'a Table, name: &str) -> Option<Hit<'a>> {
    let after_dot = usize::from(case.settings.access_parents_match);
    // A leading dot belongs to the first label, so that ".a.b" has the parent "b" alone, as in Postfix.
    let above = |name: &str| name.bytes().skip(1).position(|octet| octet == b'.').map(|dot| dot + 1 + after_dot);
    let mut rest = name;
    while let Some(start) = above(rest).filter(|start| *start < rest.len()) {
        rest = &rest[start..];
        if let Some(found) = find_part(table, rest) {
            return Some(found);
        }
    }
    None
}

/// The address, then its networks by whole octets (IPv4) or groups (IPv6).
pub(super) fn find_address(table: &Table, address: IpAddr) -> Option<Hit<'_>> {
    let mut text = String::with_capacity(ADDRESS_LENGTH_MAX);
    hostname::push_address(&mut text, address);
    find_address_as_written(table, &text)
}

/// The same for an address as somebody wrote it: `010.001.0.1` is another key than `10.1.0.1`.
pub(super) fn find_address_as_written<'a>(table: &'a Table, address: &str) -> Option<Hit<'a>> {
    let separator = if address.contains(':') { ':' } else { '.' };
    let parents = std::iter::successors(address.rsplit_once(separator), |(parent, _)| parent.rsplit_once(separator));
    find(table, address).or_else(|| parents.filter_map(|(parent, _)| find_part(table, parent)).next())
}

/// `user+extension@domain`, `user@domain`, the domain and its parents, `user+extension@`, `user@`.
fn find_mail_address<'a>(case: &Case, table: &'a Table, destination: &Destination) -> Option<Hit<'a>> {
    let (address, domain) = (&*destination.address, destination.domain());
    let local_part = address.strip_suffix(domain).unwrap_or(address);
    let bare = local_part
        .strip_suffix('@')
        .and_then(|user| without_extension(user, &case.settings.postfix.recipient_delimiter));
    find_quoted(address, |key| find(table, key))
        .or_else(|| find_quoted(&format!("{}@{domain}", bare?), |key| find_part(table, key)))
        .or_else(|| find_part(table, domain))
        .or_else(|| find_parents(case, table, domain))
        .or_else(|| find_quoted(local_part, |key| find_part(table, key)))
        .or_else(|| find_quoted(&format!("{}@", bare?), |key| find_part(table, key)))
}

/// An address is looked up as it stands in a table, then as it is.
fn find_quoted<'a>(address: &str, find: impl Fn(&str) -> Option<Hit<'a>>) -> Option<Hit<'a>> {
    quoted_form(address).and_then(|quoted| find(&quoted)).or_else(|| find(address))
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
    let (key, row) = match found {
        Ok(found) => found,
        // As if a row said so. Unlike a mistake in a row it may be only a warning.
        Err(unavailable) => {
            let reply = named.rejected(451, "4.3.5", "Server configuration error");
            return Ruling::refuse(reply, Reason::TableFailure).noting(format!("{}: {unavailable}", access.table.name));
        }
    };
    let evidence = Evidence::Table {
        table: access.table.name.clone(),
        key: key.into(),
        value: row.value.clone().into(),
        line: row.line,
    };
    let ruling = carried_out(case, &row.value, named, Reason::AccessTable).unwrap_or_else(|| {
        let Some(restrictions) = access.lists.get(&*row.value) else {
            return Ruling::unknown(UnknownClass::Table, server_error()).noting("not an action");
        };
        let about = About::Row { name: name.into(), class: subject.reply_class() };
        let row = Row { restrictions: Arc::clone(restrictions), about, on_permit: OnPermit::Permit };
        Says::Restrictions(row.into()).into()
    });
    ruling.with(evidence)
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
