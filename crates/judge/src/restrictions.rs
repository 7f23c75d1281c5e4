//! The way from a restriction to its ruling: one function or family of twins a file.

mod access;
mod bare;
mod client_hostname;
mod dns_list;
mod fqdn;
mod greylist;
mod helo_hostname;
mod hosts;
mod mx_backup;
mod own;
mod policy_service;
pub(crate) mod rbl_reply;
mod sender_login;
mod server_access;
mod sleep;
mod tls;
mod unauth_destination;
mod unknown_domain;
mod unlisted;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dns::Stopwatch;
use facts::{Reason, Stage};

use crate::case::Case;
use crate::restriction::{Kind, Nature, Restriction};
use crate::ruling::{About, Ruling};

/// A question on its way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Ruling> + Send>>;

/// A restriction that was begun.
pub(crate) enum Begun {
    /// It has ruled, after so many microseconds.
    Ruled(Ruling, u64),
    /// It is asking, since when the stopwatch says.
    Asking(Asking, Stopwatch),
}

/// Whether `restriction` would have to ask, in the list of `stage`.
pub(crate) fn asks(case: &Case, restriction: &Restriction, stage: Stage) -> bool {
    match restriction.entry.nature {
        Nature::Local => {
            let names_client = bare::speaks_of_its_list(&restriction.kind) && stage == Stage::Connect;
            names_client && !case.knows_names()
        }
        Nature::AsksForClientName => !case.knows_names(),
        Nature::Asks | Nature::Acts => true,
    }
}

/// Whether a restriction says nothing, on no grounds: told at a glance of those that nearly every list begins with.
#[inline]
pub(crate) fn is_silent(case: &Case, kind: &Kind) -> bool {
    match kind {
        Kind::PermitMynetworks => case.is_in_mynetworks() == Ok(false),
        Kind::PermitSaslAuthenticated => case.sasl_username().is_none(),
        _ => false,
    }
}

/// Begins `restriction`, which speaks of `about` if it has no subject of its own. Where its facts are not known, it does
/// not object.
pub(crate) fn begin(case: &Arc<Case>, restriction: &Arc<Restriction>, about: &About) -> Begun {
    match rule(case, &restriction.kind) {
        Some(ruling) => Begun::Ruled(ruling, 0),
        None => begin_asking(case, restriction, about),
    }
}

fn begin_asking(case: &Arc<Case>, restriction: &Arc<Restriction>, about: &About) -> Begun {
    // What finds its answers in the cache is done when it is first looked at. Whatever else has been asked by then is
    // on its way, and found there again. What acts must not begin twice.
    if restriction.entry.nature != Nature::Acts
        && let Poll::Ready(ruling) =
            pin!(ask(case, &restriction.kind, about)).poll(&mut Context::from_waker(Waker::noop()))
    {
        return Begun::Ruled(ruling, 0);
    }
    let since = case.asker.stopwatch();
    let (case, restriction, about) = (Arc::clone(case), Arc::clone(restriction), about.clone());
    Begun::Asking(Box::pin(async move { ask(&case, &restriction.kind, &about).await }), since)
}

/// What a restriction says that does not have to ask.
fn rule(case: &Case, kind: &Kind) -> Option<Ruling> {
    Some(match kind {
        Kind::Permit => Ruling::permit(Reason::Configured),
        Kind::PermitMynetworks => return own::permit_mynetworks(case),
        Kind::PermitInetInterfaces => own::permit_inet_interfaces(case),
        Kind::PermitSaslAuthenticated => own::permit_sasl_authenticated(case),
        Kind::PermitAuthDestination => unauth_destination::permit_auth_destination(case),
        Kind::RejectPlaintextSession => tls::reject_plaintext_session(case),
        Kind::RejectInvalidHeloHostname => helo_hostname::reject_invalid(case),
        Kind::RejectNonFqdnHeloHostname => helo_hostname::reject_non_fqdn(case),
        Kind::RejectNonFqdn(subject) => fqdn::reject_non_fqdn(case, *subject),
        Kind::RejectUnlisted(subject) => unlisted::reject_unlisted(case, *subject),
        Kind::RejectSenderLoginMismatch(logins) => sender_login::reject_sender_login_mismatch(case, *logins),
        Kind::RejectUnauthDestination => {
            unauth_destination::refuse(case, case.settings.postfix.relay_domains_reject_code.0)
        }
        // Postfix: relay_domains_reject_code, made temporary.
        Kind::DeferUnauthDestination => {
            let code = case.settings.postfix.relay_domains_reject_code.0;
            unauth_destination::refuse(case, if code < 500 { code } else { code - 100 })
        }
        Kind::CheckAccess(subject, table) => return access::check_access(case, *subject, table),
        Kind::Silent(why) => Ruling::dunno().noting(*why),
        _ => return None,
    })
}

/// What a restriction says that may have to ask.
async fn ask(case: &Case, kind: &Kind, about: &About) -> Ruling {
    match kind {
        Kind::Reject => bare::reject(case, about).await,
        Kind::Defer => bare::defer(case, about).await,
        Kind::DeferIfPermit => bare::defer_if_permit(case, about).await,
        Kind::DeferIfReject => bare::defer_if_reject(case, about).await,
        Kind::RejectMultiRecipientBounce => bare::reject_multi_recipient_bounce(case, about).await,
        Kind::PermitMynetworks => own::mynetworks_unclear(case, about).await,
        Kind::PermitTlsClientcerts => tls::permit_tls_clientcerts(case, about).await,
        Kind::PermitTlsAllClientcerts => tls::permit_tls_all_clientcerts(case, about).await,
        Kind::PermitMxBackup => mx_backup::permit_mx_backup(case).await,
        Kind::RejectUnknownReverseClientHostname => client_hostname::reject_unknown_reverse(case).await,
        Kind::RejectUnknownForwardClientHostname => client_hostname::reject_unknown_forward(case).await,
        Kind::RejectUnknownClientHostname => client_hostname::reject_unknown(case).await,
        Kind::RejectUnknownHeloHostname => helo_hostname::reject_unknown(case).await,
        Kind::RejectUnknownDomain(subject) => unknown_domain::reject_unknown_domain(case, *subject).await,
        Kind::RejectRblClient(list) => dns_list::reject_rbl_client(case, list).await,
        Kind::RejectRhsbl(subject, list) => dns_list::reject_rhsbl(case, *subject, list).await,
        Kind::PermitDnswlClient(list) => dns_list::permit_dnswl_client(case, list).await,
        Kind::PermitRhswlClient(list) => dns_list::permit_rhswl_client(case, list).await,
        Kind::CheckAccess(subject, table) => access::check_client_access(case, *subject, table).await,
        Kind::CheckServerAccess(subject, servers, table) => {
            server_access::check_server_access(case, *subject, *servers, table).await
        }
        Kind::CheckPolicyService(service) => policy_service::check_policy_service(case, service, about).await,
        // It is larger than all others, and would make each of them as large.
        Kind::CheckGreylist => Box::pin(greylist::check_greylist(case)).await,
        Kind::Sleep(duration) => sleep::sleep(case, *duration).await,
        // Named one by one, so that nobody can forget to say of a new kind where it belongs.
        Kind::Permit
        | Kind::PermitInetInterfaces
        | Kind::PermitSaslAuthenticated
        | Kind::PermitAuthDestination
        | Kind::RejectPlaintextSession
        | Kind::RejectInvalidHeloHostname
        | Kind::RejectNonFqdnHeloHostname
        | Kind::RejectNonFqdn(_)
        | Kind::RejectUnlisted(_)
        | Kind::RejectSenderLoginMismatch(_)
        | Kind::RejectUnauthDestination
        | Kind::DeferUnauthDestination
        | Kind::Silent(_) => rule(case, kind).expect("what never asks has ruled before"),
    }
}
