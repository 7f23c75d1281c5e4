//! Where an address leads: here, through here, or elsewhere (Postfix: trivial-rewrite(8), as far as it judges).

use facts::{EmailAddress, domain_of};

use crate::Settings;
use crate::tables::lower_case;

/// What may stand between a user and another host in a local part.
const ROUTE_SIGNS: [u8; 3] = *b"@%!";

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
        let mut address = qualified(lower_case(address.as_str()).into_owned(), &settings.hostname);
        // Each turn takes a domain off, so that it ends.
        loop {
            let domain = domain_of(&address).unwrap_or_default();
            let class = settings.class_of(domain);
            let local_part = &address[..address.len() - domain.len() - 1];
            let routed = local_part.bytes().any(|byte| ROUTE_SIGNS.contains(&byte));
            if !routed || class != Class::Final {
                return Self { domain_at: address.len() - domain.len(), address, class, routed };
            }
            address = qualified(inner_address(local_part), &settings.hostname);
        }
    }

    /// The domain, in lower case, without a trailing dot. May be an address literal.
    pub(crate) fn domain(&self) -> &str {
        &self.address[self.domain_at..]
    }

    /// What stands before the domain and its `@`, in lower case.
    pub(crate) fn local_part(&self) -> &str {
        &self.address[..self.domain_at - 1]
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

/// What an address of ours means whose local part names another host: `a%b@ours` means `a@b`.
fn inner_address(local_part: &str) -> String {
    if local_part.contains('@') {
        return local_part.to_owned();
    }
    if let Some((site, user)) = local_part.split_once('!') {
        return format!("{user}@{site}");
    }
    local_part.rsplit_once('%').map_or_else(|| local_part.to_owned(), |(user, host)| format!("{user}@{host}"))
}
