//! What greylisting knows a sender by, and what it says to one that must wait.

use std::borrow::Cow;
use std::net::IpAddr;

use std::sync::Arc;
use std::time::Duration;

use dns::lists::DnsList;
use facts::hostname::address_text;
use facts::{Network, domain_of};
use store::Terms;

use crate::config::Greylist;
use crate::parse::Parser;
use crate::tables::Table;

/// Clients that cannot cope with greylisting, and recipients whose mail must come at once.
const DEFAULT_CLIENTS: &str = include_str!("greylist/whitelist_clients");
const DEFAULT_RECIPIENTS: &str = include_str!("greylist/whitelist_recipients");

/// What greylisting goes by.
#[derive(Debug)]
pub(crate) struct Greylisting {
    pub(crate) config: Greylist,
    pub(crate) text: GreylistText,
    pub(crate) terms: Terms,
    pub(crate) dnswl: Vec<DnsList>,
    pub(crate) whitelist_clients: Vec<Arc<Table>>,
    pub(crate) whitelist_recipients: Vec<Arc<Table>>,
}

impl Greylisting {
    /// Reads the lists that `config` names.
    pub(crate) fn compile(config: &Greylist, parser: &mut Parser<'_>) -> Self {
        let mut lists = |kind, texts, default: &str| {
            let mut lists = parser.welcome_lists(kind, texts);
            if config.default_whitelists {
                let default = Table::of_text(&format!("{kind}:(default)"), default.as_bytes());
                lists.push(Arc::new(default.expect("our own lists are small")));
            }
            lists
        };
        let whitelist_clients = lists("whitelist_clients", &config.whitelist_clients, DEFAULT_CLIENTS);
        let whitelist_recipients = lists("whitelist_recipients", &config.whitelist_recipients, DEFAULT_RECIPIENTS);
        Self {
            text: GreylistText::compile(&config.greylist_text),
            terms: Terms {
                delay: config.delay,
                retry_window: config.retry_window,
                max_age: config.max_age,
                auto_whitelist_clients: config.auto_whitelist_clients,
                privacy: config.privacy,
                correspondents: if config.pool_proof { config.correspondents } else { Duration::ZERO },
            },
            dnswl: if config.pool_proof { parser.dns_lists(&config.dnswl) } else { Vec::new() },
            whitelist_clients,
            whitelist_recipients,
            config: config.clone(),
        }
    }
}

/// The pool that a client belongs to: all of its hosts count as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool<'a> {
    pub(crate) address: IpAddr,
    /// The same as text.
    pub(crate) address_text: &'a str,
    /// The sender's domain, if it has said that this client sends for it (SPF: pass).
    pub(crate) spf_domain: Option<&'a str>,
}

impl<'a> Pool<'a> {
    /// What stands for the client in a triplet.
    pub(crate) fn network(self, config: &Greylist) -> Cow<'a, str> {
        match self.spf_domain {
            Some(domain) if config.pool_proof => domain.to_ascii_lowercase().into(),
            _ if config.lookup_by_host => self.address_text.into(),
            _ => {
                let length = if self.address.is_ipv4() { config.ipv4cidr } else { config.ipv6cidr };
                let network = Network::containing(self.address, length);
                address_text(network.map_or(self.address, Network::address)).into()
            }
        }
    }

    /// What the client is counted by that has come back often, whose network this is.
    pub(crate) fn client<'n>(self, config: &Greylist, network: &'n str) -> &'n str
    where
        'a: 'n,
    {
        if config.pool_proof { network } else { self.address_text }
    }
}

/// The sender without what changes from one message to the next: the tag of BATV (`prvs=tag=user`), an extension, and
/// numbers between word boundaries, which lists put into their return paths (as postgrey does).
pub(crate) fn sender_key(sender: &str) -> Cow<'_, str> {
    let Some((said, domain)) = sender.split_once('@') else { return sender.into() };
    let user = without_batv(said);
    let user = user.split_once('+').map_or(user, |(user, _)| user);
    match without_numbers(user) {
        Cow::Borrowed(user) if user.len() == said.len() => sender.into(),
        user => [&user, "@", domain].concat().into(),
    }
}

/// `prvs=TAG=USER`; some write the two the other way round.
fn without_batv(user: &str) -> &str {
    let Some(inside) = user.strip_prefix("prvs=") else { return user };
    let mut parts = inside.trim_end_matches('=').split('=');
    let (Some(first), Some(second), None) = (parts.next(), parts.next(), parts.next()) else { return user };
    let is_tag = |part: &str| {
        part.bytes().take_while(|octet| octet.is_ascii_digit() || octet.is_ascii_lowercase()).count() >= BATV_TAG_LENGTH
    };
    if is_tag(second) && !is_tag(first) { first } else { second }
}

/// The tag of BATV: a key, a day and a hash, ten signs in all (draft-levine-smtp-batv).
const BATV_TAG_LENGTH: usize = 10;

fn without_numbers(user: &str) -> Cow<'_, str> {
    let mut words = user.as_bytes().split(|octet| !octet.is_ascii_alphanumeric() && *octet != b'_');
    if !words.any(|word| !word.is_empty() && word.iter().all(u8::is_ascii_digit)) {
        return user.into();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(user.len());
    let mut rest = user;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let is_number = run.bytes().all(|octet| octet.is_ascii_digit());
        out.push_str(if is_number { "#" } else { run });
        rest = after;
    }
    out.into()
}

/// What is said to those who must wait: the text cut up at its first `%s` and its first `%r`.
#[derive(Debug)]
pub(crate) struct GreylistText(Vec<Part>);

#[derive(Debug)]
enum Part {
    Words(Box<str>),
    /// `%s`: the seconds that are missing.
    Seconds,
    /// `%r`: the recipient's domain.
    Domain,
}

impl GreylistText {
    fn compile(text: &str) -> Self {
        let marks = [("%s", Part::Seconds), ("%r", Part::Domain)];
        let mut marks =
            Vec::from_iter(marks.into_iter().filter_map(|(mark, part)| Some((text.split_once(mark)?, part))));
        marks.sort_by_key(|((before, _), _)| before.len());
        let mut parts = Vec::new();
        let mut done = 0;
        for ((before, after), part) in marks {
            parts.extend([Part::Words(text[done..before.len()].into()), part]);
            done = text.len() - after.len();
        }
        parts.push(Part::Words(text[done..].into()));
        Self(parts)
    }

    /// The text for a recipient for whose mail so many seconds are missing.
    pub(crate) fn say(&self, seconds: u64, recipient: &str) -> String {
        let mut out = String::with_capacity(TEXT_LENGTH);
        for part in &self.0 {
            match part {
                Part::Words(words) => out.push_str(words),
                Part::Seconds => out.push_str(&seconds.to_string()),
                Part::Domain => out.push_str(domain_of(recipient).unwrap_or(recipient)),
            }
        }
        out
    }
}

/// What most texts take.
const TEXT_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_without_what_changes() {
        for (sender, expected) in [
            ("", ""),
            ("nobody", "nobody"),
            ("user@example.com", "user@example.com"),
            ("user+tag+more@example.com", "user@example.com"),
            ("bounce-123-45x-678@list.example", "bounce-#-45x-#@list.example"),
            ("123@list.example", "#@list.example"),
            ("a_1_2@list.example", "a_1_2@list.example"),
            ("a.1=2@list3.example", "a.#=#@list3.example"),
            ("prvs=0123456789=user@example.com", "user@example.com"),
            ("prvs=user=0123456789@example.com", "user@example.com"),
            ("prvs=0123abcdef=9876543210@example.com", "#@example.com"),
            ("prvs=short=other@example.com", "other@example.com"),
            ("prvs=a=b=c@example.com", "prvs=a=b=c@example.com"),
            ("prvs=a@example.com", "prvs=a@example.com"),
            ("prvs=a=@example.com", "prvs=a=@example.com"),
            ("a@b@c", "a@b@c"),
        ] {
            assert_eq!(sender_key(sender), expected, "{sender}");
        }
    }

    #[test]
    fn pools() {
        let default = Greylist::default();
        let exact = Greylist { pool_proof: false, ..Greylist::default() };
        let by_host = Greylist { lookup_by_host: true, ..exact.clone() };
        for (address, spf_domain, config, network, client) in [
            ("192.0.2.77", None, &default, "192.0.2.0", "192.0.2.0"),
            ("2001:db8:0:1:2::3", None, &default, "2001:db8:0:1::", "2001:db8:0:1::"),
            ("192.0.2.77", Some("Mail.example"), &default, "mail.example", "mail.example"),
            ("192.0.2.77", Some("mail.example"), &exact, "192.0.2.0", "192.0.2.77"),
            ("192.0.2.77", None, &by_host, "192.0.2.77", "192.0.2.77"),
        ] {
            let pool = Pool { address: address.parse().unwrap(), address_text: address, spf_domain };
            let found = pool.network(config);
            assert_eq!((&*found, pool.client(config, &found)), (network, client), "{address} {spf_domain:?}");
        }
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("wait %s seconds, see http://x/%r.html", "wait 300 seconds, see http://x/ours.example.html"),
            ("%s %s %r %r", "300 %s ours.example %r"),
            ("%%s%x", "%300%x"),
            ("%r: %s", "ours.example: 300"),
            ("no", "no"),
        ] {
            assert_eq!(GreylistText::compile(text).say(300, "u@ours.example"), expected);
        }
    }
}
