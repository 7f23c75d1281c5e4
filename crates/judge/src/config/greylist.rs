//! The section `[greylist]`: postgrey's options, and what makes greylisting kind to pools of senders.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Texts;

/// How `check_greylist` works.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Greylist {
    /// How long a sender whom we do not know must wait (postgrey: `--delay`).
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub delay: Duration,
    /// Who has not come back after so long begins anew (postgrey: `--retry-window`).
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub retry_window: Duration,
    /// Who has not been seen for so long is forgotten (postgrey: `--max-age`).
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// A client that has come back so often, at most once an hour counted, need not wait any more; 0: every client
    /// must (postgrey: `--auto-whitelist-clients`).
    pub auto_whitelist_clients: u32,
    /// Whether each address is a client of its own, rather than each network (postgrey: `--lookup-by-host`).
    pub lookup_by_host: bool,
    /// The prefix length of a client's network (postgrey: `--ipv4cidr`).
    #[schemars(range(max = 32))]
    pub ipv4cidr: u8,
    /// The same for IPv6 (postgrey: `--ipv6cidr`).
    #[schemars(range(max = 128))]
    pub ipv6cidr: u8,
    /// Count a pool of senders as one, which comes back from one address or another: clients are counted by network, and
    /// hosts on `dnswl` need not wait. `false`: exactly as postgrey.
    pub pool_proof: bool,
    /// Lists of hosts that need not wait, asked under `pool_proof`: `zone` or `zone=127.0.[0..255].[1..3]`.
    pub dnswl: Texts,
    /// How long a sender need not wait to whom one of our own users, logged in, has written last; 0: it must. Learnt from
    /// the mail that is put to us, and used under `pool_proof`.
    #[serde(with = "facts::duration")]
    #[schemars(with = "String")]
    pub correspondents: Duration,
    /// What a sender is told that must wait: `%s` is the number of seconds, `%r` the recipient's domain (postgrey:
    /// `--greylist-text`).
    pub greylist_text: String,
    /// The header of a message that had to wait: `%t` is how many seconds, `%v` our version, `%h` this host, `%d` the
    /// date. Empty: none (postgrey: `--x-greylist-header`).
    pub x_greylist_header: String,
    /// Remember only what cannot be turned back into addresses; `portcullis greylist list` shows less then (postgrey:
    /// `--privacy`).
    pub privacy: bool,
    /// Whether clients on our own list of those that cannot cope with greylisting need not wait, and `postmaster` and
    /// `abuse` always get their mail.
    pub default_whitelists: bool,
    /// Files of clients that need not wait, in postgrey's format (postgrey: `--whitelist-clients`).
    pub whitelist_clients: Texts,
    /// Files of recipients whose mail need not wait, in postgrey's format (postgrey: `--whitelist-recipients`).
    pub whitelist_recipients: Texts,
}

impl Default for Greylist {
    fn default() -> Self {
        Self {
            delay: Duration::from_mins(5),
            retry_window: Duration::from_hours(2 * 24),
            max_age: Duration::from_hours(35 * 24),
            auto_whitelist_clients: 5,
            lookup_by_host: false,
            ipv4cidr: 24,
            ipv6cidr: 64,
            pool_proof: true,
            dnswl: super::list(&["list.dnswl.org=127.0.[0..255].[1..3]"]),
            correspondents: Duration::from_hours(90 * 24),
            greylist_text: "Greylisted: welcome back in %s seconds".into(),
            x_greylist_header: "X-Greylist: delayed %t seconds by Portcullis at %h; %d".into(),
            privacy: false,
            default_whitelists: true,
            whitelist_clients: Texts::default(),
            whitelist_recipients: Texts::default(),
        }
    }
}
