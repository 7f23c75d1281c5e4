//! `reject_unknown_reverse_client_hostname`, `reject_unknown_forward_client_hostname`,
//! `reject_unknown_client_hostname`.

use facts::{ClientName, Reason, RecordType, Reply};

use crate::case::{Case, Looked};
use crate::reply::{TEMPFAIL_CODE, reply};
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

/// Refuses clients without a PTR record.
pub(super) async fn reject_unknown_reverse(case: &Case) -> Ruling {
    let looked = name(case, Subject::ReverseClient).await;
    let refused = |code| refused(case, code, "4.7.1", "cannot find your reverse hostname");
    rule(case, &looked.name, refused, Reason::ReverseNameMissing).on(looked.answers)
}

/// Refuses clients whose PTR record is missing, or leads to a name without addresses of the client's family. Whether
/// the client's own is among them does not count.
pub(super) async fn reject_unknown_forward(case: &Case) -> Ruling {
    let refused = |code| refused(case, code, "4.7.25", "cannot find your hostname");
    let mut looked = name(case, Subject::ReverseClient).await;
    if let ClientName::Known(name) = &looked.name {
        let record_type = if case.client().address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let answer = case.asker.lookup(&**name, record_type).await;
        looked.name = match answer.failure() {
            None => return Ruling::dunno().on(looked.answers).on([answer]),
            Some(failure) if failure.is_temporary() => ClientName::Unclear,
            Some(_) => ClientName::Unknown,
        };
        looked.answers.push(answer);
    }
    rule(case, &looked.name, refused, Reason::ClientNameMissing).on(looked.answers)
}

/// Refuses clients whose PTR record is missing or does not lead back to them.
pub(super) async fn reject_unknown(case: &Case) -> Ruling {
    let looked = name(case, Subject::Client).await;
    // RFC 7372 §3.3: "Reverse DNS validation failed".
    let refused = |code| refused(case, code, "4.7.25", "cannot find your hostname");
    rule(case, &looked.name, refused, Reason::ClientNameMissing).on(looked.answers)
}

/// Where a client without a name is refused for good, a mail server's word is not enough: what the DNS could not answer
/// just now, Postfix calls `unknown` too.
async fn name(case: &Case, subject: Subject) -> Looked {
    let looked = case.name(subject).await;
    let is_told = looked.answers.is_empty() && looked.name == ClientName::Unknown;
    let is_for_good = case.settings.postfix.unknown_client_reject_code.0 >= 500;
    if is_told && is_for_good { case.name_asked(subject).await } else { looked }
}

fn rule(case: &Case, name: &ClientName, refused: impl Fn(u16) -> Reply, reason: Reason) -> Ruling {
    match name {
        ClientName::Known(_) => Ruling::dunno(),
        ClientName::Unknown => Ruling::refuse(refused(case.settings.postfix.unknown_client_reject_code.0), reason),
        ClientName::Unclear => Ruling::unknown(UnknownClass::ClientName, refused(TEMPFAIL_CODE)),
    }
}

fn refused(case: &Case, code: u16, enhanced: &str, why: &str) -> Reply {
    reply(code, enhanced, format!("Client host rejected: {why}, [{}]", case.client().address))
}
