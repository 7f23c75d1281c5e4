//! `check_client_access`, `check_helo_access`, `check_sender_access`, `check_recipient_access`.

use std::borrow::Cow;
use std::net::IpAddr;

use facts::{Evidence, Reason, Reply, hostname};

use crate::case::Case;
use crate::destination::Destination;
use crate::reply::{Named, enhanced_for, server_error};
use crate::restriction::Subject;
use crate::ruling::{Ruling, Says, UnknownClass};
use crate::tables::action::{Action, Answer};
use crate::tables::{Found, Table, Unavailable};

// Postfix: smtpd_null_access_lookup_key.
const NULL_SENDER_KEY: &str = "<>";
/// The longest text of an address.
const ADDRESS_LENGTH_MAX: usize = 45;

/// Looks the subject up in `table` and does what its row says (access(5)).
pub(super) async fn check_access(case: &Case, subject: Subject, table: &Table) -> Ruling {
    match subject {
        Subject::Client | Subject::ReverseClient => {
            let looked = case.name(subject).await;
            let found = find_domain(table, looked.name.as_str()).or_else(|| find_address(table, case.client().address));
            rule(case, table, found, subject, || case.name_and_address(&looked.name).into()).on(looked.answers)
        }
        Subject::Helo => match case.helo_name() {
            Some(helo) => rule(case, table, find_domain(table, helo), subject, || helo.into()),
            None => Ruling::dunno(),
        },
        Subject::Sender | Subject::Recipient => check_address(case, subject, table),
    }
}

fn check_address(case: &Case, subject: Subject, table: &Table) -> Ruling {
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        let is_null_sender = subject == Subject::Sender && case.facts.envelope.is_some();
        let found = is_null_sender.then(|| find(table, NULL_SENDER_KEY)).flatten();
        return rule(case, table, found, subject, || "".into());
    };
    let ruling = rule(case, table, find_mail_address(table, destination), subject, || address.as_str().into());
    // A recipient with a route inside may lead anywhere: too suspicious for an OK.
    if subject == Subject::Recipient && destination.routed && matches!(ruling.says, Says::Permit(_)) {
        return Ruling { says: Says::Dunno, evidence: ruling.evidence };
    }
    ruling
}

/// A key that was found, and what the table says of it; or that it cannot say anything, which ends the search too.
type Hit<'a> = Result<(String, Found<'a>), Unavailable>;

fn find<'a>(table: &'a Table, key: &str) -> Option<Hit<'a>> {
    table.find(key).map(|found| found.map(|found| (key.to_owned(), found))).transpose()
}

fn find_part<'a>(table: &'a Table, key: &str) -> Option<Hit<'a>> {
    table.find_part(key).map(|found| found.map(|found| (key.to_owned(), found))).transpose()
}

/// The name, then its parents up to the top-level domain; a name in digits has no parents.
fn find_domain<'a>(table: &'a Table, name: &str) -> Option<Hit<'a>> {
    if name.is_empty() {
        return None;
    }
    find(table, name).or_else(|| (!hostname::is_address(name)).then(|| find_parents(table, name)).flatten())
}

fn find_parents<'a>(table: &'a Table, name: &str) -> Option<Hit<'a>> {
    // A leading dot belongs to the first label, so that ".a.b" has the parent "b" alone, as in Postfix.
    let above = |name: &'_ str| name.char_indices().skip(1).find(|(_, c)| *c == '.').map(|(dot, _)| dot + 1);
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
fn find_address(table: &Table, address: IpAddr) -> Option<Hit<'_>> {
    let mut text = String::with_capacity(ADDRESS_LENGTH_MAX);
    hostname::push_address(&mut text, address);
    let separator = if address.is_ipv4() { '.' } else { ':' };
    let parents = std::iter::successors(text.rsplit_once(separator), |(parent, _)| parent.rsplit_once(separator));
    find(table, &text).or_else(|| parents.filter_map(|(parent, _)| find_part(table, parent)).next())
}

/// `user@domain`, the domain and its parents, `user@`.
fn find_mail_address<'a>(table: &'a Table, destination: &Destination) -> Option<Hit<'a>> {
    let address = &destination.address;
    let local_part = address.strip_suffix(destination.domain()).unwrap_or(address);
    quoted_form(address)
        .and_then(|quoted| find(table, &quoted))
        .or_else(|| find(table, address))
        .or_else(|| find_part(table, destination.domain()))
        .or_else(|| find_parents(table, destination.domain()))
        .or_else(|| quoted_form(local_part).and_then(|quoted| find_part(table, &quoted)))
        .or_else(|| find_part(table, local_part))
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

/// What the row that was found says of the subject that the client calls `name`.
fn rule<'a>(
    case: &Case,
    table: &Table,
    hit: Option<Hit<'_>>,
    subject: Subject,
    name: impl Fn() -> Cow<'a, str>,
) -> Ruling {
    let Some(hit) = hit else { return Ruling::dunno() };
    let name = &*name();
    let named = Named { name, class: subject.reply_class() };
    let (key, found) = match hit {
        Ok(hit) => hit,
        Err(error) => {
            let reply = named.rejected(451, "4.3.5", "Server configuration error");
            return Ruling::unknown(UnknownClass::Table, reply).noting(format!("{}: {error}", table.name));
        }
    };
    let evidence = Evidence::Table {
        table: table.name.clone(),
        key: key.into(),
        value: found.value.as_ref().into(),
        line: found.line,
    };
    let reply = |answer: &Answer<'_>| -> Box<Reply> {
        named.rejected(answer.code, enhanced_for(answer.enhanced, Some(subject)), answer.text).into()
    };
    let reason = Reason::AccessTable;
    let ruling: Ruling = match Action::parse(&found.value) {
        Action::Ok => Says::Permit(reason).into(),
        Action::Dunno => Ruling::dunno(),
        Action::Refuse(answer) => Says::Refuse(reply(&answer), reason).into(),
        Action::DeferIfPermit(answer) => Says::DeferIfPermit(reply(&answer), reason).into(),
        Action::DeferIfReject(answer) => Says::DeferIfReject(reply(&answer), reason).into(),
        // Outside of a mail transaction there is no message to keep or to throw away.
        Action::Hold | Action::Discard if case.facts.envelope.is_none() => Ruling::dunno(),
        Action::Hold => Says::Hold.into(),
        Action::Discard => Says::Discard.into(),
        Action::NotCarried(action) => Ruling::dunno().noting(format!("{action} is not carried out in this version")),
        Action::Unusable => Ruling::unknown(UnknownClass::Table, server_error()).noting("not an action"),
    };
    ruling.with(evidence)
}
