//! `reject_invalid_helo_hostname`, `reject_non_fqdn_helo_hostname`, `reject_unknown_helo_hostname`.

use facts::{Reason, RecordType, Reply, hostname};

use crate::case::Case;
use crate::reply::{Named, TEMPFAIL_CODE};
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

/// Refuses a HELO name that is neither a host name nor an address.
pub(super) fn reject_invalid(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(case, helo);
    }
    let name = without_dot(helo);
    if hostname::is_hostname(name) || hostname::is_address(name) {
        return Ruling::dunno();
    }
    Ruling::refuse(invalid(case, helo, "Invalid name"), Reason::HeloInvalid)
}

/// Refuses a HELO name that is no host name with a domain. Address literals pass, if they hold an address.
pub(super) fn reject_non_fqdn(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(case, helo);
    }
    let name = without_dot(helo);
    if hostname::is_hostname(name) && name.contains('.') {
        return Ruling::dunno();
    }
    let reply = rejected(helo, case.settings.postfix.non_fqdn_reject_code.0, "5.5.2", "need fully-qualified hostname");
    Ruling::refuse(reply, Reason::HeloNotFqdn)
}

/// Refuses a HELO name that has no A, AAAA or MX record.
pub(super) async fn reject_unknown(case: &Case) -> Ruling {
    let Some(helo) = case.helo_name() else { return Ruling::dunno() };
    if helo.starts_with('[') {
        return reject_invalid_literal(case, helo);
    }
    let parameters = &case.settings.postfix;
    let unknown = |code| rejected(helo, code, "4.7.1", "Host not found");
    let refused = || Ruling::refuse(unknown(parameters.unknown_hostname_reject_code.0), Reason::HeloUnknown);
    // What is no host name is not in the DNS.
    if !hostname::is_hostname(helo) {
        return refused();
    }
    let mut answers = Vec::new();
    for record_type in [RecordType::A, RecordType::Aaaa, RecordType::Mx] {
        let answer = case.asker.lookup(helo, record_type).await;
        // A null MX is a record too: it speaks of taking mail, not of sending it.
        if !answer.records().is_empty() {
            return Ruling::dunno().on(answers.into_iter().chain([answer]));
        }
        answers.push(answer);
    }
    if answers.iter().any(|answer| answer.failure().is_some_and(|failure| failure.is_temporary())) {
        let action = parameters.unknown_helo_hostname_tempfail_action.unwrap_or(parameters.reject_tempfail_action);
        return Ruling::unknown(UnknownClass::Domain(action), unknown(TEMPFAIL_CODE)).on(answers);
    }
    refused().on(answers)
}

fn reject_invalid_literal(case: &Case, helo: &str) -> Ruling {
    let inside = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|inside| !inside.is_empty());
    if hostname::is_literal_address(inside.unwrap_or(helo)) {
        return Ruling::dunno();
    }
    Ruling::refuse(invalid(case, helo, "invalid ip address"), Reason::HeloInvalid)
}

/// One trailing dot is forgiven, two are not.
pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').filter(|bare| !bare.is_empty() && !bare.ends_with('.')).unwrap_or(name)
}

fn invalid(case: &Case, helo: &str, why: &str) -> Reply {
    rejected(helo, case.settings.postfix.invalid_hostname_reject_code.0, "5.5.2", why)
}

fn rejected(helo: &str, code: u16, enhanced: &str, why: &str) -> Reply {
    Named { name: helo, class: Subject::Helo.reply_class() }.rejected(code, enhanced, why)
}
