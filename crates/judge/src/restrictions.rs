//! The way from a restriction to its ruling: one function or family of twins a file.

mod access;
mod client_hostname;
mod dns_list;
mod fqdn;
mod helo_hostname;
mod unauth_destination;
mod unknown_domain;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use facts::{ClientName, EmailAddress, Reason, Stage};

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

impl From<Ruling> for Begun {
    fn from(ruling: Ruling) -> Self {
        Self::Ruled(ruling)
    }
}

fn asking(question: impl Future<Output = Ruling> + Send + 'static) -> Begun {
    Begun::Asking(Box::pin(question))
}

/// Whether `restriction` would have to ask, in the list of `stage`.
pub(crate) fn asks(case: &Case, restriction: &Restriction, stage: Stage) -> bool {
    match restriction.entry.nature {
        Nature::Local => matches!(restriction.kind, Kind::Reject | Kind::Defer) && needs_name(case, stage),
        Nature::AsksForClientName => !case.knows_names(),
        Nature::Asks => true,
    }
}

/// Begins `restriction`, which stands in the list of `stage`: it rules at once, or asks. Where its facts are not
/// known, it does not object.
pub(crate) fn begin(case: &Arc<Case>, restriction: &Arc<Restriction>, stage: Stage) -> Begun {
    match &restriction.kind {
        Kind::Permit => Ruling::permit(Reason::Configured).into(),
        Kind::Reject => bare(case, stage, 554, "5.7.1", "Access denied"),
        Kind::Defer => bare(case, stage, 450, "4.3.2", "Try again later"),
        Kind::PermitMynetworks => permit_mynetworks(case).into(),
        Kind::PermitSaslAuthenticated => permit_sasl_authenticated(case).into(),
        Kind::RejectUnknownReverseClientHostname => client_hostname::reject_unknown_reverse(case),
        Kind::RejectUnknownClientHostname => client_hostname::reject_unknown(case),
        Kind::RejectInvalidHeloHostname => helo_hostname::reject_invalid(case).into(),
        Kind::RejectNonFqdnHeloHostname => helo_hostname::reject_non_fqdn(case).into(),
        Kind::RejectUnknownHeloHostname => helo_hostname::reject_unknown(case),
        Kind::RejectNonFqdn(subject) => fqdn::reject_non_fqdn(case, *subject).into(),
        Kind::RejectUnknownDomain(subject) => unknown_domain::reject_unknown_domain(case, *subject),
        Kind::RejectUnauthDestination => unauth_destination::refuse(case, 554).into(),
        Kind::DeferUnauthDestination => unauth_destination::refuse(case, 454).into(),
        Kind::RejectRblClient(_) | Kind::RejectRhsbl(..) | Kind::PermitDnswlClient(_) => {
            dns_list::begin(case, restriction)
        }
        Kind::CheckAccess(subject, table) => access::check_access(case, *subject, table),
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
fn bare(case: &Arc<Case>, stage: Stage, code: u16, enhanced: &'static str, why: &'static str) -> Begun {
    let rule = move |name: &str, class: &str| {
        Ruling::refuse(Named { name, class }.rejected(code, enhanced, why), Reason::Configured)
    };
    match stage {
        Stage::Connect => {
            by_name(case, Subject::Client, move |case, name| rule(&case.name_and_address(name), "Client host"))
        }
        Stage::Helo => rule(case.helo_name().unwrap_or_default(), "Helo command").into(),
        Stage::Mail => rule(case.sender().map_or("", EmailAddress::as_str), "Sender address").into(),
        Stage::Rcpt => rule(case.recipient().map_or("", EmailAddress::as_str), "Recipient address").into(),
        Stage::Data => rule("DATA", "Data command").into(),
        Stage::EndOfData => rule("END-OF-MESSAGE", "End-of-data").into(),
    }
}

/// Rules by the client's verified or reverse name: at once where it is known, else after asking for it.
fn by_name(case: &Arc<Case>, subject: Subject, rule: impl Fn(&Case, &ClientName) -> Ruling + Send + 'static) -> Begun {
    if let Some(looked) = case.name_known(subject) {
        return rule(case, &looked.name).into();
    }
    let case = Arc::clone(case);
    asking(async move {
        let looked = case.name(subject).await;
        rule(&case, &looked.name).on(looked.answers)
    })
}

fn needs_name(case: &Case, stage: Stage) -> bool {
    stage == Stage::Connect && !case.knows_names()
}
