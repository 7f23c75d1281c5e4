//! `reject_unknown_reverse_client_hostname`, `reject_unknown_client_hostname`.

use std::sync::Arc;

use facts::{ClientName, Reason};

use super::{Begun, by_name};
use crate::case::Case;
use crate::reply::reply;
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

// Postfix: unknown_client_reject_code.
const CODE: u16 = 450;

/// Refuses clients without a PTR record.
pub(super) fn reject_unknown_reverse(case: &Arc<Case>) -> Begun {
    by_name(case, Subject::ReverseClient, |case, name| {
        let why = format!("Client host rejected: cannot find your reverse hostname, [{}]", case.client().address);
        rule(name, "4.7.1", &why, Reason::ReverseNameMissing)
    })
}

/// Refuses clients whose PTR record is missing or does not lead back to them.
pub(super) fn reject_unknown(case: &Arc<Case>) -> Begun {
    by_name(case, Subject::Client, |case, name| {
        let why = format!("Client host rejected: cannot find your hostname, [{}]", case.client().address);
        // RFC 7372 §3.3: "Reverse DNS validation failed".
        rule(name, "4.7.25", &why, Reason::ClientNameMissing)
    })
}

fn rule(name: &ClientName, enhanced: &str, why: &str, reason: Reason) -> Ruling {
    match name {
        ClientName::Known(name) => Ruling::dunno().noting(format!("client name {name}")),
        ClientName::Unknown => Ruling::refuse(reply(CODE, enhanced, why), reason),
        ClientName::Unclear => Ruling::unknown(UnknownClass::ClientName, reply(450, enhanced, why)),
    }
}
