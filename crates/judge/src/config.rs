//! The keys of the configuration that the judge answers to.

use std::collections::BTreeMap;

use facts::{Network, NetworkList};
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// What the judge reads of the configuration file. Every key has a default; an empty file works.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This host's name, as in Postfix's `myhostname`: the domain of addresses without one. Empty: the system's.
    pub hostname: String,
    /// Clients that may do what strangers may not (Postfix: `mynetworks`).
    pub mynetworks: Spanned<NetworkList>,
    /// The domains that we accept mail for and that end here (Postfix: `mydestination`, `virtual_alias_domains`,
    /// `virtual_mailbox_domains`).
    pub domains: Vec<String>,
    /// The domains that we accept mail for and pass on, with their subdomains (Postfix: `relay_domains`).
    pub relay_domains: Vec<String>,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// The lists of restrictions.
    pub restrictions: Restrictions,
    /// What is peculiar to one DNS list, by its zone.
    pub lists: BTreeMap<String, ListConfig>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = [("127.0.0.0", 8), ("::1", 128)];
        let network = |(address, length): (&str, u8)| Network::containing(address.parse().ok()?, length);
        Self {
            hostname: String::new(),
            mynetworks: Spanned::new(0..0, loopback.into_iter().filter_map(network).collect()),
            domains: Vec::new(),
            relay_domains: Vec::new(),
            mode: Mode::default(),
            restrictions: Restrictions::default(),
            lists: BTreeMap::new(),
        }
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is decided is what the client is told.
    #[default]
    Enforce,
}

/// The section `[restrictions]`. Each list holds restrictions by Postfix's names, in order.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restrictions {
    /// Wait until RCPT before refusing a client, its HELO or its sender (Postfix: `smtpd_delay_reject`).
    pub delay_reject: bool,
    /// Refuse senders that never said HELO (Postfix: `smtpd_helo_required`).
    pub helo_required: bool,
    /// Evaluate the relay list before the recipient list (Postfix: `smtpd_relay_before_recipient_restrictions`).
    pub relay_before_recipient: bool,
    /// Postfix: `smtpd_client_restrictions`.
    pub client: Vec<Spanned<String>>,
    /// Postfix: `smtpd_helo_restrictions`.
    pub helo: Vec<Spanned<String>>,
    /// Postfix: `smtpd_sender_restrictions`.
    pub sender: Vec<Spanned<String>>,
    /// Postfix: `smtpd_relay_restrictions`. Absent: relay control by `domains` once that is set, else none (Postfix
    /// keeps its own).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<Vec<Spanned<String>>>,
    /// Postfix: `smtpd_recipient_restrictions`.
    pub recipient: Vec<Spanned<String>>,
    /// Postfix: `smtpd_data_restrictions`.
    pub data: Vec<Spanned<String>>,
    /// Postfix: `smtpd_end_of_data_restrictions`.
    pub end_of_data: Vec<Spanned<String>>,
    /// The addresses of this host beside its loopback, for `permit_inet_interfaces` and `permit_mx_backup`. They are
    /// written down because nobody looks at the system's (Postfix: `inet_interfaces`).
    pub inet_interfaces: NetworkList,
    /// The addresses under which others know this host, for `permit_mx_backup` (Postfix: `proxy_interfaces`).
    pub proxy_interfaces: NetworkList,
    /// Where the primary mail exchangers must be of whom `permit_mx_backup` makes this host a backup. Empty: anywhere
    /// (Postfix: `permit_mx_backup_networks`).
    pub permit_mx_backup_networks: NetworkList,
    /// Tables of the certificates for `permit_tls_clientcerts` (Postfix: `relay_clientcerts`).
    pub relay_clientcerts: Vec<Spanned<String>>,
    /// Tables of who may send as whom, for `reject_sender_login_mismatch` (Postfix: `smtpd_sender_login_maps`).
    pub smtpd_sender_login_maps: Vec<Spanned<String>>,
    /// Tables of the local users of `domains`, for `reject_unlisted_recipient` (Postfix: `local_recipient_maps`, but
    /// empty by default).
    pub local_recipient_maps: Vec<Spanned<String>>,
    /// Tables of the mailboxes of `domains` (Postfix: `virtual_mailbox_maps`).
    pub virtual_mailbox_maps: Vec<Spanned<String>>,
    /// Tables of the recipients in `relay_domains` (Postfix: `relay_recipient_maps`).
    pub relay_recipient_maps: Vec<Spanned<String>>,
    /// Tables of the addresses that lead to others (Postfix: `virtual_alias_maps`).
    pub virtual_alias_maps: Vec<Spanned<String>>,
    /// Tables of the addresses that are rewritten (Postfix: `canonical_maps`).
    pub canonical_maps: Vec<Spanned<String>>,
    /// The same of senders alone (Postfix: `sender_canonical_maps`).
    pub sender_canonical_maps: Vec<Spanned<String>>,
    /// The same of recipients alone (Postfix: `recipient_canonical_maps`).
    pub recipient_canonical_maps: Vec<Spanned<String>>,
}

impl Default for Restrictions {
    fn default() -> Self {
        Self {
            delay_reject: true,
            helo_required: true,
            relay_before_recipient: true,
            client: list(&["permit_mynetworks", "permit_sasl_authenticated", "reject_unknown_reverse_client_hostname"]),
            helo: list(&[
                "permit_mynetworks",
                "permit_sasl_authenticated",
                "reject_invalid_helo_hostname",
                "reject_non_fqdn_helo_hostname",
                "reject_unknown_helo_hostname",
            ]),
            sender: list(&[
                "permit_mynetworks",
                "permit_sasl_authenticated",
                "reject_non_fqdn_sender",
                "reject_unknown_sender_domain",
            ]),
            relay: None,
            recipient: list(&[
                "reject_non_fqdn_recipient",
                "permit_mynetworks",
                "permit_sasl_authenticated",
                "reject_rhsbl_helo dbl.spamhaus.org",
                "reject_rhsbl_reverse_client dbl.spamhaus.org",
                "reject_rhsbl_sender dbl.spamhaus.org",
                "permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]",
                "reject_rbl_client zen.spamhaus.org",
            ]),
            data: Vec::new(),
            end_of_data: Vec::new(),
            inet_interfaces: NetworkList::default(),
            proxy_interfaces: NetworkList::default(),
            permit_mx_backup_networks: NetworkList::default(),
            relay_clientcerts: Vec::new(),
            smtpd_sender_login_maps: Vec::new(),
            local_recipient_maps: Vec::new(),
            virtual_mailbox_maps: Vec::new(),
            relay_recipient_maps: Vec::new(),
            virtual_alias_maps: Vec::new(),
            canonical_maps: Vec::new(),
            sender_canonical_maps: Vec::new(),
            recipient_canonical_maps: Vec::new(),
        }
    }
}

/// The relay list that stands where none is configured and `domains` or `relay_domains` are.
pub(crate) fn relay_default() -> Vec<Spanned<String>> {
    list(&["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"])
}

fn list(restrictions: &[&str]) -> Vec<Spanned<String>> {
    restrictions.iter().map(|restriction| Spanned::new(0..0, (*restriction).to_owned())).collect()
}

/// The section `[lists."ZONE"]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListConfig {
    /// Ask while the client is still talking; `false` asks only when the list's turn comes, and so saves its quota.
    pub early: bool,
    /// The answers that count as listed, as in `zone=127.0.0.[2..11]`. Absent: those of a known list, else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes: Option<Spanned<String>>,
}

impl Default for ListConfig {
    fn default() -> Self {
        Self { early: true, codes: None }
    }
}
