//! `reject_invalid_helo_hostname`, `reject_non_fqdn_helo_hostname`, `reject_unknown_helo_hostname`.

use facts::{Reason, RecordType, Reply, hostname};

use crate::case::Case;
use crate::reply::Named;
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

// Postfix: invalid_hostname_reject_code, non_fqdn_reject_code, unknown_hostname_reject_code.
const INVALID_CODE: u16 = 501;
const NON_FQDN_CODE: u16 = 504;
const UNKNOWN_CODE: u16 = 450;

/// Refuses a HELO name that is neither a host name nor an address.
pub(super) fn reject_invalid(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(helo);
    }
    let name = without_dot(helo);
    if hostname::is_hostname(name) || hostname::is_address(name) {
        return Ruling::dunno();
    }
    Ruling::refuse(rejected(helo, INVALID_CODE, "5.5.2", "Invalid name"), Reason::HeloInvalid)
}

/// Refuses a HELO name that is no host name with a domain. Address literals pass, if they hold an address.
pub(super) fn reject_non_fqdn(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(helo);
    }
    let name = without_dot(helo);
    if hostname::is_hostname(name) && name.contains('.') {
        return Ruling::dunno();
    }
    let reply = rejected(helo, NON_FQDN_CODE, "5.5.2", "need fully-qualified hostname");
    Ruling::refuse(reply, Reason::HeloNotFqdn)
}

/// Refuses a HELO name that has no A, AAAA or MX record.
pub(super) async fn reject_unknown(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(helo);
    }
    // What is no host name is not in the DNS.
    if !hostname::is_hostname(helo) {
        return Ruling::refuse(unknown(helo), Reason::HeloUnknown);
    }
    let mut answers = Vec::new();
    for record_type in [RecordType::A, RecordType::Aaaa, RecordType::Mx] {
        answers.push(case.asker.lookup(helo, record_type).await);
        // A null MX is a record too: it speaks of taking mail, not of sending it.
        if answers.last().is_some_and(|answer| !answer.records().is_empty()) {
            return Ruling::dunno().on(answers);
        }
    }
    if answers.iter().any(|answer| answer.failure().is_some_and(|failure| failure.is_temporary())) {
        return Ruling::unknown(UnknownClass::Domain, unknown(helo)).on(answers);
    }
    Ruling::refuse(unknown(helo), Reason::HeloUnknown).on(answers)
}

fn reject_invalid_literal(helo: &str) -> Ruling {
    let inside = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|inside| !inside.is_empty());
    if hostname::is_literal_address(inside.unwrap_or(helo)) {
        return Ruling::dunno();
    }
    Ruling::refuse(rejected(helo, INVALID_CODE, "5.5.2", "invalid ip address"), Reason::HeloInvalid)
}

/// One trailing dot is forgiven, two are not.
pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').filter(|bare| !bare.is_empty() && !bare.ends_with('.')).unwrap_or(name)
}

fn unknown(helo: &str) -> Reply {
    rejected(helo, UNKNOWN_CODE, "4.7.1", "Host not found")
}

fn rejected(helo: &str, code: u16, enhanced: &str, why: &str) -> Reply {
    Named { name: helo, class: Subject::Helo.reply_class() }.rejected(code, enhanced, why)
}
