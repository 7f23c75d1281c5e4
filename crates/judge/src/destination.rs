//! Where an address leads: here, through here, or elsewhere (Postfix: trivial-rewrite(8), as far as it judges).

use facts::EmailAddress;

use crate::Settings;

/// What may stand between a user and another host in a local part.
const ROUTE_SIGNS: [char; 3] = ['@', '%', '!'];

/// Whose a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Mail for it ends here (`domains`).
    Final,
    /// We take mail for it and pass it on (`relay_domains`).
    Relay,
    /// It is not ours.
    Foreign,
}

/// An address, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The address in lower case, with a domain, and without the routes that end here.
    pub(crate) address: String,
    /// Where the domain starts in it.
    domain_at: usize,
    /// Whose the domain is.
    pub(crate) class: Class,
    /// Whether the local part still names another host: `a%b@c`, `b!a@c`, `a@b@c`.
    pub(crate) routed: bool,
}

impl Destination {
    /// Resolves `address` by the domains of `settings`.
    pub(crate) fn of(address: &EmailAddress, settings: &Settings) -> Self {
        let mut address = qualified(address.as_str().to_lowercase(), &settings.hostname);
        // Each turn takes a domain off, so that it ends.
        while let Some(inner) = inner_address(&address, settings) {
            address = qualified(inner, &settings.hostname);
        }
        let domain_at = address.rfind('@').map_or(address.len(), |at| at + 1);
        let class = settings.class_of(&address[domain_at..]);
        let routed = address[..domain_at.saturating_sub(1)].contains(ROUTE_SIGNS);
        Self { address, domain_at, class, routed }
    }

    /// The domain, in lower case, without a trailing dot. May be an address literal.
    pub(crate) fn domain(&self) -> &str {
        &self.address[self.domain_at..]
    }

    /// Whether strangers may send here (Postfix: permit_auth_destination).
    pub(crate) fn is_authorized(&self) -> bool {
        // A backup MX must not carry a route to whatever hides in a local part.
        !self.routed && self.class != Class::Foreign
    }
}

/// With our own host name where there is no domain, and without a trailing dot.
fn qualified(mut address: String, hostname: &str) -> String {
    let has_dot = address.strip_suffix('.').is_some_and(|bare| bare.contains('@') && !bare.ends_with(['.', '@']));
    if has_dot || address.ends_with('@') {
        address.pop();
    }
    if !address.contains('@') {
        address.push('@');
        address.push_str(hostname);
    }
    address
}

/// What remains of an address of ours whose local part names another host: `a%b@ours` means `a@b`.
fn inner_address(address: &str, settings: &Settings) -> Option<String> {
    let (local_part, domain) = address.rsplit_once('@')?;
    if !local_part.contains(ROUTE_SIGNS) || settings.class_of(domain) != Class::Final {
        return None;
    }
    if local_part.contains('@') {
        return Some(local_part.to_owned());
    }
    if let Some((site, user)) = local_part.split_once('!') {
        return Some(format!("{user}@{site}"));
    }
    local_part.rsplit_once('%').map(|(user, host)| format!("{user}@{host}"))
}
