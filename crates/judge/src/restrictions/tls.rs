//! `reject_plaintext_session`, `permit_tls_clientcerts`, `permit_tls_all_clientcerts`.

use facts::{Encryption, Reason};

use super::bare::Topic;
use crate::case::Case;
use crate::reply::reply;
use crate::ruling::{About, Ruling};

/// Refuses sessions that are not encrypted.
pub(super) fn reject_plaintext_session(case: &Case) -> Ruling {
    match case.client().encryption {
        Encryption::Plaintext => Ruling::refuse(
            reply(case.settings.postfix.plaintext_reject_code.0, "4.7.1", "Session encryption is required"),
            Reason::Plaintext,
        ),
        Encryption::Unknown | Encryption::Tls(_) => Ruling::dunno(),
    }
}

/// Permits clients whose certificate, or its key, is in `relay_clientcerts`: whoever may have signed it.
pub(super) async fn permit_tls_clientcerts(case: &Case, about: &About) -> Ruling {
    let Some(certificate) = case.certificate() else { return Ruling::dunno() };
    let digests = [&certificate.fingerprint, &certificate.pubkey_fingerprint];
    let relay_clientcerts = case.settings.maps.relay_clientcerts.lookup();
    let mut known = digests.into_iter().filter(|digest| !digest.is_empty());
    match known.find_map(|digest| relay_clientcerts.find(digest)) {
        Some(Ok(found)) => Ruling::permit(Reason::Certificate).with(found.evidence()),
        Some(Err(why)) => Topic::of(case, about).await.unavailable(why),
        None => Ruling::dunno().noting(format!("no row for the certificate {}", certificate.fingerprint)),
    }
}

/// Permits clients with a certificate of an issuer that Postfix trusts, and those of `permit_tls_clientcerts`.
pub(super) async fn permit_tls_all_clientcerts(case: &Case, about: &About) -> Ruling {
    match case.certificate().and_then(|certificate| certificate.trusted_name.as_deref()) {
        Some(name) => Ruling::permit(Reason::Certificate).noting(format!("a trusted certificate of {name}")),
        None => permit_tls_clientcerts(case, about).await,
    }
}
