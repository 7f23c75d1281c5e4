//! The keys of the configuration that the judge answers to.

use std::collections::BTreeMap;

use facts::NetworkPattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

mod greylist;
mod policy_action;
mod postfix;
mod texts;

pub use greylist::Greylist;
pub use policy_action::PolicyAction;
pub use postfix::{Postfix, ReplyCode, TempfailAction};
pub use texts::Texts;

/// What the judge reads of the configuration file. Every key has a default; an empty file works.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This host's name, as in Postfix's `myhostname`: the domain of addresses without one. Empty: the system's.
    pub hostname: String,
    /// Clients that may do what strangers may not (Postfix: `mynetworks`).
    #[schemars(with = "Vec<String>")]
    pub mynetworks: Vec<Spanned<NetworkPattern>>,
    /// The domains that we accept mail for and that end here (Postfix: `mydestination`, `virtual_alias_domains`,
    /// `virtual_mailbox_domains`).
    pub domains: Vec<String>,
    /// The domains that we accept mail for and pass on, with their subdomains (Postfix: `relay_domains`).
    pub relay_domains: Vec<String>,
    /// `enforce`, or `shadow`: everything is decided and kept in the journal, and nothing is refused, held, discarded,
    /// changed or delayed but by relay control.
    pub mode: Mode,
    /// The lists of restrictions.
    pub restrictions: Restrictions,
    /// Parameters of main.cf, by their names.
    pub postfix: Postfix,
    /// Greylisting.
    pub greylist: Greylist,
    /// What is peculiar to one DNS list, by its zone.
    pub lists: BTreeMap<String, ListConfig>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "[::1]/128"].map(|network| network.parse().expect("a network"));
        Self {
            hostname: String::new(),
            mynetworks: loopback.map(|network| Spanned::new(0..0, network)).into(),
            domains: Vec::new(),
            relay_domains: Vec::new(),
            mode: Mode::default(),
            restrictions: Restrictions::default(),
            postfix: Postfix::default(),
            greylist: Greylist::default(),
            lists: BTreeMap::new(),
        }
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is decided is what the client is told.
    #[default]
    Enforce,
    /// Everything is decided and kept in the journal, and nothing is refused, held, thrown away, changed or delayed: but
    /// what relay control refuses stays refused.
    Shadow,
}

/// The section `[restrictions]`. Each list holds restrictions by Postfix's names, in order.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restrictions {
    /// Wait until RCPT before refusing a client, its HELO or its sender (Postfix: `smtpd_delay_reject`).
    pub delay_reject: bool,
    /// Refuse senders that never said HELO (Postfix: `smtpd_helo_required`).
    pub helo_required: bool,
    /// Evaluate the relay list before the recipient list (Postfix: `smtpd_relay_before_recipient_restrictions`).
    pub relay_before_recipient: bool,
    /// Restriction classes (Postfix: `smtpd_restriction_classes`), and whatever else lists refer to as `$name`: a list by
    /// its name.
    pub classes: BTreeMap<String, Texts>,
    /// Postfix: `smtpd_client_restrictions`.
    pub client: Texts,
    /// Postfix: `smtpd_helo_restrictions`.
    pub helo: Texts,
    /// Postfix: `smtpd_sender_restrictions`.
    pub sender: Texts,
    /// Postfix: `smtpd_relay_restrictions`. Absent: relay control by `domains` once that is set, else none (Postfix
    /// keeps its own).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<Texts>,
    /// Postfix: `smtpd_recipient_restrictions`.
    pub recipient: Texts,
    /// Postfix: `smtpd_data_restrictions`.
    pub data: Texts,
    /// Postfix: `smtpd_end_of_data_restrictions`.
    pub end_of_data: Texts,
    /// Postfix: `smtpd_etrn_restrictions`.
    pub etrn: Texts,
}

impl Default for Restrictions {
    fn default() -> Self {
        Self {
            delay_reject: true,
            helo_required: true,
            relay_before_recipient: true,
            classes: BTreeMap::new(),
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
                "check_greylist",
            ]),
            data: Texts::default(),
            end_of_data: Texts::default(),
            etrn: Texts::default(),
        }
    }
}

impl Restrictions {
    /// A list by the name that Postfix gives it: `smtpd_client_restrictions`.
    pub(crate) fn list_of_postfix(&self, name: &str) -> Option<&Texts> {
        match name.strip_prefix("smtpd_")?.strip_suffix("_restrictions")? {
            "client" => Some(&self.client),
            "helo" => Some(&self.helo),
            "sender" => Some(&self.sender),
            "relay" => self.relay.as_ref(),
            "recipient" => Some(&self.recipient),
            "data" => Some(&self.data),
            "end_of_data" => Some(&self.end_of_data),
            "etrn" => Some(&self.etrn),
            _ => None,
        }
    }
}

/// The relay list that stands where none is configured and `domains` or `relay_domains` are.
pub(crate) fn relay_default() -> Texts {
    list(&["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"])
}

fn list(restrictions: &[&str]) -> Texts {
    Texts(restrictions.iter().map(|restriction| Spanned::new(0..0, (*restriction).to_owned())).collect())
}

/// The section `[lists."ZONE"]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListConfig {
    /// Ask while the client is still talking; `false` asks only when the list's turn comes, and so saves its quota.
    pub early: bool,
    /// The answers that count as listed, as in `zone=127.0.0.[2..11]`. Absent: those of a known list, else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub codes: Option<Spanned<String>>,
}

impl Default for ListConfig {
    fn default() -> Self {
        Self { early: true, codes: None }
    }
}
