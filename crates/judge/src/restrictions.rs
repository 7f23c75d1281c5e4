//! The way from a restriction to its ruling: one function or family of twins a file.

mod access;
mod client_hostname;
mod dns_list;
mod fqdn;
mod helo_hostname;
pub(crate) mod rbl_reply;
mod unauth_destination;
mod unknown_domain;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use facts::{EmailAddress, Reason, Stage};

use crate::case::Case;
use crate::reply::Named;
use crate::restriction::{Kind, Nature, Restriction, Subject};
use crate::ruling::Ruling;

/// A question on its way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Ruling> + Send>>;

/// A restriction that was begun.
pub(crate) enum Begun {
    /// It could answer at once.
    Ruled(Ruling),
    /// It had to ask.
    Asking(Asking),
}

/// Whether `restriction` would have to ask, in the list of `stage`.
pub(crate) fn asks(case: &Case, restriction: &Restriction, stage: Stage) -> bool {
    match restriction.entry.nature {
        Nature::Local => {
            let names_client = matches!(restriction.kind, Kind::Reject | Kind::Defer) && stage == Stage::Connect;
            names_client && !case.knows_names()
        }
        Nature::AsksForClientName => !case.knows_names(),
        Nature::Asks => true,
    }
}

/// Begins `restriction`, which stands in the list of `stage`. Where its facts are not known, it does not object.
pub(crate) fn begin(case: &Arc<Case>, restriction: &Arc<Restriction>, stage: Stage) -> Begun {
    if let Some(ruling) = rule(case, &restriction.kind) {
        return Begun::Ruled(ruling);
    }
    // What finds its answers in the cache is done when it is first looked at. Whatever else has been asked by then is
    // on its way, and found there again.
    if let Poll::Ready(ruling) = pin!(ask(case, &restriction.kind, stage)).poll(&mut Context::from_waker(Waker::noop()))
    {
        return Begun::Ruled(ruling);
    }
    let (case, restriction) = (Arc::clone(case), Arc::clone(restriction));
    Begun::Asking(Box::pin(async move { ask(&case, &restriction.kind, stage).await }))
}

/// What a restriction says that never has to ask.
fn rule(case: &Case, kind: &Kind) -> Option<Ruling> {
    Some(match kind {
        Kind::Permit => Ruling::permit(Reason::Configured),
        Kind::PermitMynetworks => permit_mynetworks(case),
        Kind::PermitSaslAuthenticated => permit_sasl_authenticated(case),
        Kind::RejectInvalidHeloHostname => helo_hostname::reject_invalid(case),
        Kind::RejectNonFqdnHeloHostname => helo_hostname::reject_non_fqdn(case),
        Kind::RejectNonFqdn(subject) => fqdn::reject_non_fqdn(case, *subject),
        Kind::RejectUnauthDestination => {
            unauth_destination::refuse(case, case.settings.postfix.relay_domains_reject_code.0)
        }
        // Postfix: relay_domains_reject_code, made temporary.
        Kind::DeferUnauthDestination => {
            let code = case.settings.postfix.relay_domains_reject_code.0;
            unauth_destination::refuse(case, if code < 500 { code } else { code - 100 })
        }
        _ => return None,
    })
}

/// What a restriction says that may have to ask.
async fn ask(case: &Case, kind: &Kind, stage: Stage) -> Ruling {
    match kind {
        Kind::Reject => bare(case, stage, case.settings.postfix.reject_code.0, "5.7.1", "Access denied").await,
        Kind::Defer => bare(case, stage, case.settings.postfix.defer_code.0, "4.3.2", "Try again later").await,
        Kind::RejectUnknownReverseClientHostname => client_hostname::reject_unknown_reverse(case).await,
        Kind::RejectUnknownClientHostname => client_hostname::reject_unknown(case).await,
        Kind::RejectUnknownHeloHostname => helo_hostname::reject_unknown(case).await,
        Kind::RejectUnknownDomain(subject) => unknown_domain::reject_unknown_domain(case, *subject).await,
        Kind::RejectRblClient(list) => dns_list::reject_rbl_client(case, list).await,
        Kind::RejectRhsbl(subject, list) => dns_list::reject_rhsbl(case, *subject, list).await,
        Kind::PermitDnswlClient(list) => dns_list::permit_dnswl_client(case, list).await,
        Kind::CheckAccess(subject, table) => access::check_access(case, *subject, table).await,
        // Named one by one, so that nobody can forget to say of a new kind where it belongs.
        Kind::Permit
        | Kind::PermitMynetworks
        | Kind::PermitSaslAuthenticated
        | Kind::RejectInvalidHeloHostname
        | Kind::RejectNonFqdnHeloHostname
        | Kind::RejectNonFqdn(_)
        | Kind::RejectUnauthDestination
        | Kind::DeferUnauthDestination => rule(case, kind).expect("what never asks has ruled before"),
    }
}

/// Postfix: permit_mynetworks.
fn permit_mynetworks(case: &Case) -> Ruling {
    if case.settings.mynetworks.contains(case.client().address) {
        Ruling::permit(Reason::OwnNetwork)
    } else {
        Ruling::dunno()
    }
}

/// Postfix: permit_sasl_authenticated.
fn permit_sasl_authenticated(case: &Case) -> Ruling {
    let user = case.facts.envelope.as_deref().and_then(|envelope| envelope.sasl_username.as_deref());
    match user {
        Some(user) => Ruling::permit(Reason::Authenticated).noting(format!("logged in as {user}")),
        None => Ruling::dunno(),
    }
}

/// A bare `reject` or `defer`: it speaks of what its list is about (Postfix: reply_name, reply_class).
async fn bare(case: &Case, stage: Stage, code: u16, enhanced: &str, why: &str) -> Ruling {
    let refuse = |name: &str, class: &str| {
        Ruling::refuse(Named { name, class }.rejected(code, enhanced, why), Reason::Configured)
    };
    match stage {
        Stage::Connect => {
            let looked = case.name(Subject::Client).await;
            refuse(&case.name_and_address(&looked.name), "Client host").on(looked.answers)
        }
        Stage::Helo => refuse(case.helo_name().unwrap_or_default(), "Helo command"),
        Stage::Mail => refuse(case.sender().map_or("", EmailAddress::as_str), "Sender address"),
        Stage::Rcpt => refuse(case.recipient().map_or("", EmailAddress::as_str), "Recipient address"),
        Stage::Data => refuse("DATA", "Data command"),
        Stage::EndOfData => refuse("END-OF-MESSAGE", "End-of-data"),
    }
}
