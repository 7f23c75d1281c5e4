//! The tables that know addresses, logins and certificates: lists of them, searched for a key or for an address.

use std::sync::Arc;

use crate::config::Postfix;
use crate::destination::{Class, Destination};
use crate::parse::Parser;
use crate::reply::reply;
use crate::ruling::{Ruling, UnknownClass};
use crate::tables::Table;
use crate::tables::lookup::{Hit, Lookup};

/// The lists of tables of a configuration, under Postfix's names.
#[derive(Debug)]
pub(crate) struct Maps {
    /// Replies for DNS lists that have one of their own.
    pub(crate) rbl_reply_maps: Map,
    pub(crate) relay_clientcerts: Map,
    pub(crate) smtpd_sender_login_maps: Map,
    pub(crate) local_recipient_maps: Map,
    pub(crate) virtual_mailbox_maps: Map,
    pub(crate) relay_recipient_maps: Map,
    pub(crate) virtual_alias_maps: Map,
    pub(crate) canonical_maps: Map,
    pub(crate) sender_canonical_maps: Map,
    pub(crate) recipient_canonical_maps: Map,
}

/// Tables that are searched one after the other.
#[derive(Debug)]
pub(crate) struct Map(Vec<Arc<Table>>);

impl Maps {
    /// Opens the tables that `config` names.
    pub(crate) fn open(config: &Postfix, parser: &mut Parser<'_>) -> Self {
        let mut map = |texts| Map(parser.maps(texts));
        Self {
            rbl_reply_maps: map(&config.rbl_reply_maps),
            relay_clientcerts: map(&config.relay_clientcerts),
            smtpd_sender_login_maps: map(&config.smtpd_sender_login_maps),
            local_recipient_maps: map(&config.local_recipient_maps),
            virtual_mailbox_maps: map(&config.virtual_mailbox_maps),
            relay_recipient_maps: map(&config.relay_recipient_maps),
            virtual_alias_maps: map(&config.virtual_alias_maps),
            canonical_maps: map(&config.canonical_maps),
            sender_canonical_maps: map(&config.sender_canonical_maps),
            recipient_canonical_maps: map(&config.recipient_canonical_maps),
        }
    }
}

impl Map {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the tables, for whoever asks where a key is missing.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|table| &*table.name)
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup::new(&self.0)
    }

    /// The row of an address: of `user@domain`, of `user` where its mail ends here, of `@domain`; of both users with and
    /// without their extension (Postfix: mail_addr_find).
    pub(crate) fn find_address(&self, destination: &Destination, delimiters: &str) -> Option<Hit<'_>> {
        let Destination { address, class, .. } = destination;
        let (user, at_domain) = address.split_at(destination.local_part().len());
        let bare = without_extension(user, delimiters);
        let lookup = self.lookup();
        let find_part = |key: &str| lookup.find_part(key);
        let local = |user| (*class == Class::Final).then(|| find_quoted(user, find_part)).flatten();
        find_quoted(address, |key| lookup.find(key))
            .or_else(|| find_quoted(&format!("{}{at_domain}", bare?), find_part))
            .or_else(|| local(user))
            .or_else(|| local(bare?))
            .or_else(|| lookup.find_part(at_domain))
    }
}

/// What is said of `name` when a table cannot say anything (Postfix: reject_dict_retry).
pub(crate) fn unavailable(name: &str, why: String) -> Ruling {
    let reply = reply(451, "4.3.0", format!("<{name}>: Temporary lookup failure"));
    Ruling::unknown(UnknownClass::Table, reply).noting(why)
}

/// An address is looked up as it stands in a table, then as it is.
pub(crate) fn find_quoted<'a>(address: &str, find: impl Fn(&str) -> Option<Hit<'a>>) -> Option<Hit<'a>> {
    quoted_form(address).and_then(|quoted| find(&quoted)).or_else(|| find(address))
}

/// The address as it stands in a table, if its local part is no dot-string and needs quotes (RFC 5321 §4.1.2).
fn quoted_form(address: &str) -> Option<String> {
    let (local_part, rest) = address.rfind('@').map_or((address, ""), |at| address.split_at(at));
    let is_atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if !local_part.is_empty() && local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom)) {
        return None;
    }
    let escaped: String = local_part
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '\r').then_some('\\').into_iter().chain([c]))
        .collect();
    Some(format!("\"{escaped}\"{rest}"))
}

/// The user's name before its extension, if it has one (Postfix: recipient_delimiter, split_addr(3)). Users whose mail
/// must arrive keep theirs, and so do bounces and lists.
pub(crate) fn without_extension<'a>(user: &'a str, delimiters: &str) -> Option<&'a str> {
    let kept = ["postmaster", "mailer-daemon", "double-bounce"];
    let is_kept = kept.iter().any(|name| user.eq_ignore_ascii_case(name));
    // "owner-list" and "list-request" are names of their own.
    let is_list = delimiters.contains('-')
        && (user.to_ascii_lowercase().starts_with("owner-") || user.to_ascii_lowercase().ends_with("-request"));
    let at = user.find(|c| delimiters.contains(c)).filter(|at| *at > 0)?;
    (!is_kept && !is_list).then(|| &user[..at])
}
