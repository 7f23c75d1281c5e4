//! `reject_unknown_reverse_client_hostname`, `reject_unknown_forward_client_hostname`,
//! `reject_unknown_client_hostname`.

use facts::{ClientName, Reason, RecordType, Reply};

use crate::case::Case;
use crate::reply::reply;
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

// Postfix: unknown_client_reject_code.
const CODE: u16 = 450;

/// Refuses clients without a PTR record.
pub(super) async fn reject_unknown_reverse(case: &Case) -> Ruling {
    let looked = case.name(Subject::ReverseClient).await;
    let refused = || refused(case, "4.7.1", "cannot find your reverse hostname");
    rule(&looked.name, refused, Reason::ReverseNameMissing).on(looked.answers)
}

/// Refuses clients whose PTR record is missing, or leads to a name without addresses of the client's family. Whether
/// the client's own is among them does not count.
pub(super) async fn reject_unknown_forward(case: &Case) -> Ruling {
    let refused = || refused(case, "4.7.25", "cannot find your hostname");
    let mut looked = case.name(Subject::ReverseClient).await;
    if let ClientName::Known(name) = &looked.name {
        let record_type = if case.client().address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let answer = case.asker.lookup(name, record_type).await;
        looked.name = match answer.failure() {
            None => return Ruling::dunno().on(looked.answers).on([answer]),
            Some(failure) if failure.is_temporary() => ClientName::Unclear,
            Some(_) => ClientName::Unknown,
        };
        looked.answers.push(answer);
    }
    rule(&looked.name, refused, Reason::ClientNameMissing).on(looked.answers)
}

/// Refuses clients whose PTR record is missing or does not lead back to them.
pub(super) async fn reject_unknown(case: &Case) -> Ruling {
    let looked = case.name(Subject::Client).await;
    // RFC 7372 §3.3: "Reverse DNS validation failed".
    let refused = || refused(case, "4.7.25", "cannot find your hostname");
    rule(&looked.name, refused, Reason::ClientNameMissing).on(looked.answers)
}

fn rule(name: &ClientName, refused: impl Fn() -> Reply, reason: Reason) -> Ruling {
    match name {
        ClientName::Known(_) => Ruling::dunno(),
        ClientName::Unknown => Ruling::refuse(refused(), reason),
        ClientName::Unclear => Ruling::unknown(UnknownClass::ClientName, refused()),
    }
}

fn refused(case: &Case, enhanced: &str, why: &str) -> Reply {
    reply(CODE, enhanced, &format!("Client host rejected: {why}, [{}]", case.client().address))
}
