//! `permit_mynetworks`, `permit_inet_interfaces`, `permit_sasl_authenticated`.

use facts::Reason;

use crate::case::Case;
use crate::ruling::Ruling;

/// Permits clients in our networks.
pub(super) fn permit_mynetworks(case: &Case) -> Ruling {
    if case.settings.mynetworks.contains(case.client().address) {
        Ruling::permit(Reason::OwnNetwork)
    } else {
        Ruling::dunno()
    }
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
