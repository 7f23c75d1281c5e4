//! Draws configurations: one restriction in one situation stands in the middle, anything around it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::certificates::Certificates;
use super::lists::List;
use super::quota::{Cell, cells};
use super::session::{Encryption, Session};
use super::tables::{Spelling, Table};
use super::world;
use crate::support::policy_service::Rule;
use crate::support::random::Random;
use crate::support::tls::Certificate;

/// Parameters, and what they may be beside their defaults. The code of deferrals through a policy server is the asking
/// Postfix's own (`access_map_defer_code`), so that it is not drawn.
const PARAMETERS: [(&str, &[&str]); 17] = [
    ("reject_code", &["521", "450"]),
    ("defer_code", &["451"]),
    ("access_map_reject_code", &["550", "451"]),
    ("invalid_hostname_reject_code", &["550", "450"]),
    ("maps_rbl_reject_code", &["550", "450"]),
    ("non_fqdn_reject_code", &["550", "450"]),
    ("relay_domains_reject_code", &["550"]),
    ("unknown_address_reject_code", &["550"]),
    ("unknown_client_reject_code", &["550"]),
    ("unknown_hostname_reject_code", &["550"]),
    ("multi_recipient_bounce_reject_code", &["450"]),
    ("plaintext_reject_code", &["550"]),
    ("reject_tempfail_action", &["defer"]),
    ("unknown_address_tempfail_action", &["defer", "defer_if_permit"]),
    ("unknown_helo_hostname_tempfail_action", &["defer", "defer_if_permit"]),
    ("smtpd_null_access_lookup_key", &["nobody"]),
    ("recipient_delimiter", &["+", ".+"]),
];
/// The parameter of the certificates that relay.
pub const RELAY_CLIENTCERTS: &str = "relay_clientcerts";
/// The parameter without which parent domains have a dot before them.
pub const PARENTS: &str = "parent_domain_matches_subdomains";

/// Restriction classes, by which rows and lists may name restrictions.
pub const CLASSES: [(&str, &str); 3] = [
    ("strict", "warn_if_reject reject, permit_mynetworks, reject_non_fqdn_helo_hostname, defer"),
    ("loose", "permit_sasl_authenticated reject_unknown_sender_domain"),
    ("nested", "loose, check_sender_access inline:{{good.test = strict}, {test = loose}}"),
];

/// Restriction lists, and the sessions that are judged by them.
pub struct Configuration {
    /// Its number under its seed.
    pub number: usize,
    /// What its first session is about.
    pub cell: Cell,
    /// The list in which that stands.
    pub place: List,
    /// Postfix: `smtpd_delay_reject`.
    pub delay_reject: bool,
    /// Postfix: `smtpd_helo_required`.
    pub helo_required: bool,
    /// Postfix: `smtpd_relay_before_recipient_restrictions`.
    pub relay_before_recipient: bool,
    /// Parameters of main.cf that are not left to their defaults.
    pub parameters: Vec<(&'static str, String)>,
    /// The restrictions of each list.
    lists: Lists,
    /// The tables that are files.
    pub files: Vec<Table>,
    /// By what its policy services answer.
    pub rules: Vec<Rule>,
    /// What the DNS says beyond the world's zone.
    pub zone: Vec<String>,
    /// Whether the first session must be refused.
    pub must_refuse: bool,
    /// The sessions.
    pub sessions: Vec<Session>,
}

/// Restrictions by their lists.
type Lists = BTreeMap<List, Vec<String>>;

impl Configuration {
    /// What stands in a list.
    pub fn restrictions(&self, list: List) -> &[String] {
        self.lists.get(&list).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody looks at a message that was accepted at RCPT.
    pub fn looks_at_messages(&self) -> bool {
        [List::Data, List::EndOfData].iter().any(|list| !self.restrictions(*list).is_empty())
    }

    /// Whether anybody looks at the digests of this certificate.
    pub fn looks_at_digests_of(&self, certificate: &Certificate) -> bool {
        let looks = |restriction: &String| match restriction.split(' ').find(|word| word.contains("cert")) {
            Some("permit_tls_all_clientcerts") => certificate.trusted_name.is_none(),
            name => name.is_some(),
        };
        self.lists.values().flatten().any(looks) || self.rules.iter().any(|rule| rule.attribute.starts_with("ccert_"))
    }
}

/// How many configurations `sessions` sessions make: every promise is kept at least once if that is possible.
pub fn configurations(sessions: usize) -> usize {
    cells(0).len().max(sessions / 4).min(sessions)
}

/// The configuration of this number, of those that make `sessions` sessions, with its tables below `directory`.
pub fn configuration(
    seed: u64,
    number: usize,
    sessions: usize,
    directory: &Path,
    certificates: &Certificates,
) -> Configuration {
    let mut cells = cells(seed);
    Random::new(seed).shuffle(&mut cells);
    let cell = cells[number % cells.len()];
    let of = configurations(sessions);
    let sessions = (number + 1) * sessions / of - number * sessions / of;
    let mut draft = Draft {
        random: Random::new(seed.wrapping_add(number as u64 + 1).wrapping_mul(0xA24B_AED4_963E_E407)),
        number,
        directory: directory.to_owned(),
        certificates,
        files: Vec::new(),
        rules: Vec::new(),
        zone: Vec::new(),
        parameters: Vec::new(),
        must_refuse: false,
    };
    draft.configuration(cell, sessions)
}

/// A configuration in the making.
pub struct Draft<'a> {
    pub random: Random,
    pub number: usize,
    pub directory: PathBuf,
    pub certificates: &'a Certificates,
    pub files: Vec<Table>,
    pub rules: Vec<Rule>,
    pub zone: Vec<String>,
    pub parameters: Vec<(&'static str, String)>,
    pub must_refuse: bool,
}

impl Draft<'_> {
    fn configuration(&mut self, cell: Cell, count: usize) -> Configuration {
        let delay_reject = !self.random.one_in(3);
        let relay_before_recipient = !self.random.one_in(3);
        self.draw_parameters();
        let mut session = Session::ordinary(&mut self.random);
        session.enter(cell.kind, cell.situation, self.certificates, &mut self.random);
        let order = List::met_by(&session, relay_before_recipient);
        let turn = self.turn(&order, List::first(cell.kind, delay_reject), &session);
        let place = order[turn];
        let middle = self.middle(cell, &session, place.state(&session, delay_reject));
        let mut lists = self.lists(&order, turn, middle, &session);
        self.put_guard(&mut lists, relay_before_recipient, &session);
        for list in order.into_iter().skip(turn) {
            // A message costs time: not every session that is accepted at RCPT sends one.
            if list.is_before_data() || !place.is_before_data() || self.random.one_in(4) {
                let anything = self.anything(list);
                lists.entry(list).or_default().extend(anything);
            }
        }
        let mut sessions = vec![session];
        sessions.extend((1..count).map(|_| self.other_session(delay_reject)));
        Configuration {
            number: self.number,
            cell,
            place,
            delay_reject,
            helo_required: self.random.one_in(2),
            relay_before_recipient,
            parameters: std::mem::take(&mut self.parameters),
            lists,
            files: std::mem::take(&mut self.files),
            rules: std::mem::take(&mut self.rules),
            zone: std::mem::take(&mut self.zone),
            must_refuse: self.must_refuse,
            sessions,
        }
    }

    fn draw_parameters(&mut self) {
        self.parameters = world::maps().into();
        self.parameters.push((RELAY_CLIENTCERTS, self.certificates.relay_clientcerts()));
        for (name, values) in PARAMETERS {
            if self.random.one_in(6) {
                self.parameters.push((name, self.random.pick(values).to_owned()));
            }
        }
        if self.random.one_in(6) {
            self.parameters.push((PARENTS, "relay_domains".to_owned()));
        }
    }

    /// How tables are asked under the parameters.
    pub fn spelling(&self) -> Spelling<'_> {
        let value = |name| self.parameters.iter().find(|(drawn, _)| *drawn == name).map(|(_, value)| value.as_str());
        Spelling {
            dot: if value(PARENTS).is_some() { "." } else { "" },
            delimiters: value("recipient_delimiter").unwrap_or_default(),
            null_sender: value("smtpd_null_access_lookup_key").unwrap_or("<>"),
        }
    }

    /// The place in `order` of the list that shall hold what the session is about, which can act from `first` on.
    fn turn(&mut self, order: &[List], first: List, session: &Session) -> usize {
        let open = order.iter().position(|list| *list >= first).unwrap_or(order.len() - 1);
        let data = order.iter().position(|list| !list.is_before_data()).unwrap_or(order.len());
        // Who is sent away by relay control never comes to DATA.
        let goes_on = data < order.len() && session.is_for_us() && self.random.one_in(4);
        let (from, to) = if open >= data {
            (open, order.len())
        } else if goes_on {
            (data, order.len())
        } else {
            (open, data)
        };
        from + self.random.below(to - from)
    }

    /// The lists with `middle` in that at `turn`: nothing before it stops the session.
    fn lists(&mut self, order: &[List], turn: usize, middle: Vec<String>, session: &Session) -> Lists {
        let restrictions = |(number, list): (usize, &List)| {
            let restrictions = match number.cmp(&turn) {
                Ordering::Less => self.harmless(session),
                Ordering::Equal => [self.harmless(session), middle.clone()].concat(),
                Ordering::Greater => Vec::new(),
            };
            (*list, restrictions)
        };
        order.iter().enumerate().map(restrictions).collect()
    }

    /// Puts in what Postfix does not serve without, and we neither: relay control that no bare `permit` precedes. The
    /// session must not meet it before its turn.
    fn put_guard(&mut self, lists: &mut Lists, relay_before_recipient: bool, session: &Session) {
        let guard = self.random.pick(&["reject_unauth_destination", "defer_unauth_destination"]).to_owned();
        // What comes after a bare permit guards nothing, and we would not start.
        let latest = |list: &[String]| list.iter().position(|it| it == "permit").unwrap_or(list.len());
        if !session.is_for_us() {
            let list = lists.entry(if relay_before_recipient { List::Recipient } else { List::Relay }).or_default();
            list.insert(latest(list), guard);
            return;
        }
        let list = lists.entry(self.random.pick(&[List::Relay, List::Recipient])).or_default();
        list.insert(self.random.below(latest(list) + 1), guard);
    }

    /// Any session. Where nothing waits for RCPT, TLS would begin in the middle of what has been judged already.
    fn other_session(&mut self, delay_reject: bool) -> Session {
        let session = Session::any(self.certificates, &mut self.random);
        let encryption = if delay_reject { session.encryption } else { Encryption::Plaintext };
        Session { encryption, ..session }
    }
}
