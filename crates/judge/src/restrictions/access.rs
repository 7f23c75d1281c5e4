//! `check_client_access`, `check_helo_access`, `check_sender_access`, `check_recipient_access`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use facts::{Evidence, Reason, Reply, hostname};

use crate::case::Case;
use crate::destination::Destination;
use crate::reply::{Named, enhanced_for, server_error};
use crate::restriction::{Access, Subject};
use crate::ruling::{Row, Ruling, Says, UnknownClass};
use crate::tables::action::{Action, Answer, Codes};
use crate::tables::{self, Table};

/// The longest text of an address.
const ADDRESS_LENGTH_MAX: usize = 45;

/// Looks the subject up in `table` and does what its row says (access(5)).
pub(super) async fn check_access(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let table = &access.table;
    match subject {
        Subject::Client | Subject::ReverseClient => {
            let looked = case.name(subject).await;
            let found = find_domain(case, table, &lower_case(looked.name.as_str()))
                .or_else(|| find_address(table, case.client().address));
            rule(case, access, found, subject, || case.name_and_address(&looked.name).into()).on(looked.answers)
        }
        Subject::Helo => match case.helo_name() {
            Some(helo) => rule(case, access, find_domain(case, table, &lower_case(helo)), subject, || helo.into()),
            None => Ruling::dunno(),
        },
        Subject::Sender | Subject::Recipient => check_address(case, subject, access),
    }
}

fn check_address(case: &Case, subject: Subject, access: &Access) -> Ruling {
    let table = &access.table;
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        let is_null_sender = subject == Subject::Sender && case.facts.envelope.is_some();
        let found = is_null_sender.then(|| find(table, &case.settings.postfix.smtpd_null_access_lookup_key)).flatten();
        return rule(case, access, found, subject, || "".into());
    };
    let found = find_mail_address(case, table, destination);
    let mut ruling = rule(case, access, found, subject, || address.as_str().into());
    // A recipient with a route inside may lead anywhere: too suspicious for an OK.
    if subject == Subject::Recipient && destination.routed {
        match &mut ruling.says {
            Says::Restrictions(row) => row.may_permit = false,
            says @ Says::Permit(_) => *says = Says::Dunno,
            _ => {}
        }
    }
    ruling
}

/// A key that was found, and its row.
type Found<'a> = (String, &'a tables::Row);

fn find<'a>(table: &'a Table, key: &str) -> Option<Found<'a>> {
    table.find(key).map(|row| (key.to_owned(), row))
}

fn find_part<'a>(table: &'a Table, key: &str) -> Option<Found<'a>> {
    table.find_part(key).map(|row| (key.to_owned(), row))
}

/// The name, then its parents up to the top-level domain; a name in digits has no parents.
fn find_domain<'a>(case: &Case, table: &'a Table, name: &str) -> Option<Found<'a>> {
    if name.is_empty() {
        return None;
    }
    find(table, name).or_else(|| (!hostname::is_address(name)).then(|| find_parents(case, table, name)).flatten())
}

/// Parents stand in a table by their name, or with a dot before it, as the administrator has it
/// (parent_domain_matches_subdomains).
fn find_parents<'a>(case: &Case, table: &'a Table, name: &str) -> Option<Found<'a>> {
    let after_dot = usize::from(case.settings.postfix.parents_match("smtpd_access_maps"));
    // A leading dot belongs to the first label, so that ".a.b" has the parent "b" alone, as in Postfix.
    let above = |name: &'_ str| name.char_indices().skip(1).find(|(_, c)| *c == '.').map(|(dot, _)| dot + after_dot);
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
fn find_address(table: &Table, address: IpAddr) -> Option<Found<'_>> {
    let mut text = String::with_capacity(ADDRESS_LENGTH_MAX);
    hostname::push_address(&mut text, address);
    let separator = if address.is_ipv4() { '.' } else { ':' };
    let parents = std::iter::successors(text.rsplit_once(separator), |(parent, _)| parent.rsplit_once(separator));
    find(table, &text).or_else(|| parents.filter_map(|(parent, _)| find_part(table, parent)).next())
}

/// `user+extension@domain`, `user@domain`, the domain and its parents, `user+extension@`, `user@`.
fn find_mail_address<'a>(case: &Case, table: &'a Table, destination: &Destination) -> Option<Found<'a>> {
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
fn find_quoted<'a>(address: &str, find: impl Fn(&str) -> Option<Found<'a>>) -> Option<Found<'a>> {
    quoted_form(address).and_then(|quoted| find(&quoted)).or_else(|| find(address))
}

/// The user's name before its extension, if it has one (Postfix: recipient_delimiter, split_addr(3)). Users whose mail
/// must arrive keep theirs, and so do bounces and lists.
fn without_extension<'a>(user: &'a str, delimiters: &str) -> Option<&'a str> {
    let kept = ["postmaster", "mailer-daemon", "double-bounce"];
    let is_kept = kept.iter().any(|name| user.eq_ignore_ascii_case(name));
    // "owner-list" and "list-request" are names of their own.
    let is_list = delimiters.contains('-')
        && (user.to_ascii_lowercase().starts_with("owner-") || user.to_ascii_lowercase().ends_with("-request"));
    let at = user.find(|c| delimiters.contains(c)).filter(|at| *at > 0)?;
    (!is_kept && !is_list).then(|| &user[..at])
}

/// The address as it stands in a table, if its local part is no dot-string and needs quotes (RFC 5321 §4.1.2).
fn quoted_form(address: &str) -> Option<String> {
    let (local_part, rest) = address.rfind('@').map_or((address, ""), |at| address.split_at(at));
    let is_atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if !local_part.is_empty() && local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom)) {
        return None;
    }
    let escaped: String = local_part
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '\r').then_some('\\').into_iter().chain([c]))
        .collect();
    Some(format!("\"{escaped}\"{rest}"))
}

fn lower_case(text: &str) -> Cow<'_, str> {
    let is_lower_case = text.bytes().all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase());
    if is_lower_case { text.into() } else { text.to_lowercase().into() }
}

/// What the row that was found says of the subject that the client calls `name`.
fn rule<'a>(
    case: &Case,
    access: &Access,
    found: Option<Found<'_>>,
    subject: Subject,
    name: impl Fn() -> Cow<'a, str>,
) -> Ruling {
    let Some((key, row)) = found else { return Ruling::dunno() };
    let name = &*name();
    let evidence =
        Evidence::Table { table: access.table.name.clone(), key: key.into(), value: row.value.clone(), line: row.line };
    let named = Named { name, class: subject.reply_class() };
    let reply = |answer: &Answer<'_>| -> Box<Reply> {
        named.rejected(answer.code, enhanced_for(answer.enhanced, Some(subject)), answer.text).into()
    };
    let reason = Reason::AccessTable;
    let parameters = &case.settings.postfix;
    let codes = Codes { reject: parameters.access_map_reject_code.0, defer: parameters.access_map_defer_code.0 };
    let ruling: Ruling = match Action::parse(&row.value, codes) {
        Action::Ok => Says::Permit(reason).into(),
        Action::Dunno => Ruling::dunno(),
        Action::Refuse(answer) => Says::Refuse(reply(&answer), reason).into(),
        Action::DeferIfPermit(answer) => Says::DeferIfPermit(reply(&answer), reason).into(),
        Action::DeferIfReject(answer) => Says::DeferIfReject(reply(&answer), reason).into(),
        // Outside of a mail transaction there is no message to keep or to throw away.
        Action::Hold | Action::Discard | Action::Message(_) if case.facts.envelope.is_none() => Ruling::dunno(),
        Action::Hold => Says::Hold.into(),
        Action::Discard => Says::Discard.into(),
        Action::Message(action) => Says::Message(action).into(),
        Action::Incomplete(needs) => Ruling::dunno().noting(needs),
        Action::Unusable if let Some(restrictions) = access.lists.get(&row.value) => {
            let (restrictions, stage) = (Arc::clone(restrictions), subject.stage());
            Says::Restrictions(Row { restrictions, stage, may_permit: true }).into()
        }
        Action::Unusable => Ruling::unknown(UnknownClass::Table, server_error()).noting("not an action"),
    };
    ruling.with(evidence)
}
