//! The certificates of the drawn sessions.

use std::path::Path;
use std::sync::Arc;

use super::kinds::Kind;
use super::session::Encryption;
use crate::support::random::Random;
use crate::support::tls::{Authority, Certificate};

/// What clients may show.
pub struct Certificates {
    /// Of an issuer that Postfix trusts.
    trusted: Arc<Certificate>,
    /// In `relay_clientcerts`, by its own digest and by that of its key.
    listed: [Arc<Certificate>; 2],
    /// Of nobody, and nowhere.
    stranger: Arc<Certificate>,
    /// Lines of main.cf.
    pub main_cf: String,
}

impl Certificates {
    /// New ones, with their files in `directory`.
    pub fn new(directory: &Path) -> Self {
        let authority = Authority::new(directory);
        Self {
            trusted: authority.signed("client.good.test").into(),
            listed: ["listed", "listed-key"].map(|name| authority.self_signed(name).into()),
            stranger: authority.self_signed("stranger").into(),
            main_cf: authority.main_cf(),
        }
    }

    /// The table `relay_clientcerts`.
    pub fn relay_clientcerts(&self) -> String {
        let [by_certificate, by_key] = &self.listed;
        format!("inline:{{{}=x, {}=x}}", by_certificate.fingerprint, by_key.pubkey_fingerprint)
    }

    /// Any way of being encrypted.
    pub fn any(&self, random: &mut Random) -> Encryption {
        if random.one_in(3) { Encryption::Tls(None) } else { self.shown(random) }
    }

    /// Any certificate.
    pub fn shown(&self, random: &mut Random) -> Encryption {
        let [by_certificate, by_key] = &self.listed;
        shown(random.pick(&[&self.trusted, by_certificate, by_key, &self.stranger]))
    }

    /// One whose issuer nobody trusts.
    pub fn self_signed(&self, random: &mut Random) -> Encryption {
        shown(random.pick(&[&self.listed[0], &self.listed[1], &self.stranger]))
    }

    /// One that `kind` permits.
    pub fn permitted(&self, kind: &Kind, random: &mut Random) -> Encryption {
        let [by_certificate, by_key] = &self.listed;
        let is_enough = kind.name == "permit_tls_all_clientcerts";
        shown(random.pick(&[by_certificate, by_key, if is_enough { &self.trusted } else { by_key }]))
    }

    /// None, or one that `kind` does not permit.
    pub fn not_permitted(&self, kind: &Kind, random: &mut Random) -> Encryption {
        let is_enough = kind.name == "permit_tls_all_clientcerts";
        let certificate = shown(if is_enough { &self.stranger } else { &self.trusted });
        [Encryption::Plaintext, Encryption::Tls(None), certificate, shown(&self.stranger)][random.below(4)].clone()
    }
}

fn shown(certificate: &Arc<Certificate>) -> Encryption {
    Encryption::Tls(Some(Arc::clone(certificate)))
}
