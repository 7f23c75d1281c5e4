//! `permit_mynetworks`, `permit_inet_interfaces`, `permit_sasl_authenticated`.

use facts::Reason;

use super::bare::Topic;
use crate::case::Case;
use crate::ruling::{About, Ruling};

/// Permits clients in our networks; `None` where that cannot be said.
pub(super) fn permit_mynetworks(case: &Case) -> Option<Ruling> {
    let is_ours = case.is_in_mynetworks().ok()?;
    Some(if is_ours { Ruling::permit(Reason::OwnNetwork) } else { Ruling::dunno() })
}

/// What is said of a client of whom it cannot be said.
pub(super) async fn mynetworks_unclear(case: &Case, about: &About) -> Ruling {
    let why = case.is_in_mynetworks().err().unwrap_or_default();
    Topic::of(case, about).await.unavailable(format!("mynetworks: {why}"))
}

/// Permits this host itself.
pub(super) fn permit_inet_interfaces(case: &Case) -> Ruling {
    if case.settings.own_addresses.has_interface(case.client().address) {
        Ruling::permit(Reason::OwnAddress)
    } else {
        Ruling::dunno()
    }
}

/// Permits clients that have logged in.
pub(super) fn permit_sasl_authenticated(case: &Case) -> Ruling {
    match case.sasl_username() {
        Some(user) => Ruling::permit(Reason::Authenticated).noting(format!("logged in as {user}")),
        None => Ruling::dunno(),
    }
}
