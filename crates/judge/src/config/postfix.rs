//! The section `[postfix]`: parameters of main.cf, by their names, with their defaults.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use facts::{Network, NetworkPattern};
use schemars::JsonSchema;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::{PolicyAction, Texts};

/// Parameters of main.cf that change what restrictions say.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Postfix {
    /// The code of a bare `reject`.
    pub reject_code: ReplyCode,
    /// The code of a bare `defer`.
    pub defer_code: ReplyCode,
    /// The code of `REJECT` in an access table.
    pub access_map_reject_code: ReplyCode,
    /// The code of `DEFER`, `DEFER_IF_PERMIT` and `DEFER_IF_REJECT` in an access table.
    pub access_map_defer_code: ReplyCode,
    /// The code of `reject_invalid_helo_hostname`.
    pub invalid_hostname_reject_code: ReplyCode,
    /// The code of `reject_rbl_client` and `reject_rhsbl_…`, as `$rbl_code` in their replies.
    pub maps_rbl_reject_code: ReplyCode,
    /// The code of `reject_multi_recipient_bounce`.
    pub multi_recipient_bounce_reject_code: ReplyCode,
    /// The code of `reject_plaintext_session`.
    pub plaintext_reject_code: ReplyCode,
    /// The code of `reject_unlisted_recipient` and `reject_unlisted_sender` for local users.
    pub unknown_local_recipient_reject_code: ReplyCode,
    /// The same for mailboxes of virtual domains.
    pub unknown_virtual_mailbox_reject_code: ReplyCode,
    /// The same for recipients in `relay_domains`.
    pub unknown_relay_recipient_reject_code: ReplyCode,
    /// The code of `reject_non_fqdn_…`.
    pub non_fqdn_reject_code: ReplyCode,
    /// The code of `reject_unauth_destination`.
    pub relay_domains_reject_code: ReplyCode,
    /// The code of `reject_unknown_sender_domain` and `reject_unknown_recipient_domain`.
    pub unknown_address_reject_code: ReplyCode,
    /// The code of `reject_unknown_client_hostname` and `reject_unknown_reverse_client_hostname`.
    pub unknown_client_reject_code: ReplyCode,
    /// The code of `reject_unknown_helo_hostname`.
    pub unknown_hostname_reject_code: ReplyCode,
    /// What becomes of mail when the DNS cannot say whether a name exists.
    pub reject_tempfail_action: TempfailAction,
    /// The same for `reject_unknown_sender_domain` and `reject_unknown_recipient_domain`. Absent: as
    /// `reject_tempfail_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_address_tempfail_action: Option<TempfailAction>,
    /// The same for `reject_unknown_helo_hostname`. Absent: as `reject_tempfail_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_helo_hostname_tempfail_action: Option<TempfailAction>,
    /// The reply of `reject_rbl_client` and `reject_rhsbl_…`, with `$rbl_code`, `$rbl_class`, `$rbl_what`,
    /// `$rbl_domain`, `$rbl_reason` and what is known of the session.
    #[schemars(with = "String")]
    pub default_rbl_reply: Spanned<String>,
    /// Tables with other replies, by the DNS list as the restriction names it.
    pub rbl_reply_maps: Texts,
    /// The key under which access tables hold the null sender.
    pub smtpd_null_access_lookup_key: String,
    /// What parts a user's name from its extension: any of these characters. Empty: nothing does.
    pub recipient_delimiter: String,
    /// Where `example.com` means its subdomains too. Of the names in it `relay_domains` and `smtpd_access_maps` count
    /// here; without them a subdomain is meant by `.example.com` alone.
    pub parent_domain_matches_subdomains: Vec<String>,
    /// The addresses of this host beside its loopback, for `permit_inet_interfaces` and `permit_mx_backup`. They are
    /// written down because nobody looks at the system's (Postfix: `inet_interfaces`).
    #[schemars(with = "Vec<String>")]
    pub inet_interfaces: Vec<Network>,
    /// The addresses under which others know this host, for `permit_mx_backup` (Postfix: `proxy_interfaces`).
    #[schemars(with = "Vec<String>")]
    pub proxy_interfaces: Vec<Network>,
    /// Where the primary mail exchangers must be of whom `permit_mx_backup` makes this host a backup. Empty: anywhere
    /// (Postfix: `permit_mx_backup_networks`).
    #[schemars(with = "Vec<String>")]
    pub permit_mx_backup_networks: Vec<Spanned<NetworkPattern>>,
    /// Tables of the certificates for `permit_tls_clientcerts` (Postfix: `relay_clientcerts`).
    pub relay_clientcerts: Texts,
    /// Tables of who may send as whom, for `reject_sender_login_mismatch` (Postfix: `smtpd_sender_login_maps`).
    pub smtpd_sender_login_maps: Texts,
    /// Tables of the local users of `domains`, for `reject_unlisted_recipient` (Postfix: `local_recipient_maps`, but
    /// empty by default).
    pub local_recipient_maps: Texts,
    /// Tables of the mailboxes of `domains` (Postfix: `virtual_mailbox_maps`).
    pub virtual_mailbox_maps: Texts,
    /// Tables of the recipients in `relay_domains` (Postfix: `relay_recipient_maps`).
    pub relay_recipient_maps: Texts,
    /// Tables of the addresses that lead to others (Postfix: `virtual_alias_maps`).
    pub virtual_alias_maps: Texts,
    /// Tables of the addresses that are rewritten (Postfix: `canonical_maps`).
    pub canonical_maps: Texts,
    /// The same of senders alone (Postfix: `sender_canonical_maps`).
    pub sender_canonical_maps: Texts,
    /// The same of recipients alone (Postfix: `recipient_canonical_maps`).
    pub recipient_canonical_maps: Texts,
    /// How long one try to ask a policy service may take, from connecting to the whole reply. The deadline of the
    /// decision bounds all tries together.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub smtpd_policy_service_timeout: Duration,
    /// How long a connection to a policy service is kept that nobody uses.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub smtpd_policy_service_max_idle: Duration,
    /// How old a connection to a policy service may grow.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub smtpd_policy_service_max_ttl: Duration,
    /// How often a policy service is tried.
    pub smtpd_policy_service_try_limit: NonZeroU32,
    /// The pause after a try that failed.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub smtpd_policy_service_retry_delay: Duration,
    /// How many requests one connection to a policy service carries; 0 for any number.
    pub smtpd_policy_service_request_limit: u32,
    /// The action where a policy service does not answer.
    pub smtpd_policy_service_default_action: PolicyAction,
    /// What policy services are told as `policy_context`.
    pub smtpd_policy_service_policy_context: String,
}

impl Default for Postfix {
    fn default() -> Self {
        let reply = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using \
                     $rbl_domain${rbl_reason?; $rbl_reason}";
        Self {
            reject_code: ReplyCode(554),
            defer_code: ReplyCode(450),
            access_map_reject_code: ReplyCode(554),
            access_map_defer_code: ReplyCode(450),
            invalid_hostname_reject_code: ReplyCode(501),
            maps_rbl_reject_code: ReplyCode(554),
            multi_recipient_bounce_reject_code: ReplyCode(550),
            plaintext_reject_code: ReplyCode(450),
            unknown_local_recipient_reject_code: ReplyCode(550),
            unknown_virtual_mailbox_reject_code: ReplyCode(550),
            unknown_relay_recipient_reject_code: ReplyCode(550),
            non_fqdn_reject_code: ReplyCode(504),
            relay_domains_reject_code: ReplyCode(554),
            unknown_address_reject_code: ReplyCode(450),
            unknown_client_reject_code: ReplyCode(450),
            unknown_hostname_reject_code: ReplyCode(450),
            reject_tempfail_action: TempfailAction::DeferIfPermit,
            unknown_address_tempfail_action: None,
            unknown_helo_hostname_tempfail_action: None,
            default_rbl_reply: Spanned::new(0..0, reply.into()),
            rbl_reply_maps: Texts::default(),
            smtpd_null_access_lookup_key: "<>".into(),
            recipient_delimiter: String::new(),
            parent_domain_matches_subdomains: ["relay_domains", "smtpd_access_maps"].map(str::to_owned).into(),
            inet_interfaces: Vec::new(),
            proxy_interfaces: Vec::new(),
            permit_mx_backup_networks: Vec::new(),
            relay_clientcerts: Texts::default(),
            smtpd_sender_login_maps: Texts::default(),
            local_recipient_maps: Texts::default(),
            virtual_mailbox_maps: Texts::default(),
            relay_recipient_maps: Texts::default(),
            virtual_alias_maps: Texts::default(),
            canonical_maps: Texts::default(),
            sender_canonical_maps: Texts::default(),
            recipient_canonical_maps: Texts::default(),
            smtpd_policy_service_timeout: Duration::from_secs(100),
            smtpd_policy_service_max_idle: Duration::from_secs(300),
            smtpd_policy_service_max_ttl: Duration::from_secs(1000),
            smtpd_policy_service_try_limit: NonZeroU32::MIN.saturating_add(1),
            smtpd_policy_service_retry_delay: Duration::from_secs(1),
            smtpd_policy_service_request_limit: 0,
            smtpd_policy_service_default_action: PolicyAction::server_problem(),
            smtpd_policy_service_policy_context: String::new(),
        }
    }
}

impl Postfix {
    /// Whether names in the list `user` of domains mean their subdomains too.
    pub(crate) fn parents_match(&self, user: &str) -> bool {
        self.parent_domain_matches_subdomains.iter().any(|name| name == user)
    }
}

/// An SMTP code that refuses: 400 to 599.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ReplyCode(#[schemars(range(min = 400, max = 599))] pub u16);

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ReplyCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u16::deserialize(deserializer)?;
        let refused = || D::Error::invalid_value(Unexpected::Unsigned(code.into()), &"a code from 400 to 599");
        if (400..=599).contains(&code) { Ok(Self(code)) } else { Err(refused()) }
    }
}

/// What becomes of mail when a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TempfailAction {
    /// It is deferred at once.
    Defer,
    /// It is deferred unless a later restriction rejects it.
    DeferIfPermit,
}
