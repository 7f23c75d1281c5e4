//! The section `[postfix]`: parameters of main.cf, by their names, with their defaults.

use std::fmt;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::Texts;

/// Parameters of main.cf that change what restrictions say.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReplyCode(pub u16);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TempfailAction {
    /// It is deferred at once.
    Defer,
    /// It is deferred unless a later restriction rejects it.
    DeferIfPermit,
}
