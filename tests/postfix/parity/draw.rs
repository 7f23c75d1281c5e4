//! Draws configurations: one restriction in one situation stands in the middle, anything around it.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::quota::{Argument, Cell, KINDS, Kind, Situation, Subject, cells};
use super::session::Session;
use super::tables::{self, Action, Spelling, Table};
use super::world::{LIST_DOWN, LIST_EMPTY, LISTS_FULL};
use crate::support::random::Random;
use crate::support::zone::listed_name;

/// The lists of a configuration by the order of their stages.
pub const LISTS: [&str; 5] = ["client", "helo", "sender", "relay", "recipient"];
const RELAY: usize = 3;
const RECIPIENT: usize = 4;

/// Filters of DNS lists, with a code that passes and one that does not.
const FILTERS: [(&str, &str, &str); 5] = [
    ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
    ("127.0.0.[2..4]", "127.0.0.3", "127.0.0.5"),
    ("127.0.[0..255].[1..3]", "127.0.7.2", "127.0.7.4"),
    ("127.0.0.[1;3;5..9]", "127.0.0.7", "127.0.0.4"),
    ("127.0.[1..2].[0..255]", "127.0.2.200", "127.0.3.1"),
];
const CODES: [&str; 5] = ["127.0.0.2", "127.0.0.10", "127.0.1.2", "127.0.5.1", "192.0.2.1"];

/// Parameters, and what they may be beside their defaults. The code of deferrals through a policy server is the asking
/// Postfix's own (`access_map_defer_code`), so that it is not drawn.
const PARAMETERS: [(&str, &[&str]); 15] = [
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
    ("reject_tempfail_action", &["defer"]),
    ("unknown_address_tempfail_action", &["defer", "defer_if_permit"]),
    ("unknown_helo_hostname_tempfail_action", &["defer", "defer_if_permit"]),
    ("smtpd_null_access_lookup_key", &["nobody"]),
    ("recipient_delimiter", &["+", ".+"]),
];
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
    /// Postfix: `smtpd_delay_reject`.
    pub delay_reject: bool,
    /// Postfix: `smtpd_helo_required`.
    pub helo_required: bool,
    /// Postfix: `smtpd_relay_before_recipient_restrictions`.
    pub relay_before_recipient: bool,
    /// Parameters of main.cf that are not left to their defaults.
    pub parameters: Vec<(&'static str, &'static str)>,
    /// The restrictions, by [`LISTS`].
    pub lists: [Vec<String>; 5],
    /// The tables that are files.
    pub files: Vec<Table>,
    /// What the DNS says beyond the world's zone.
    pub zone: Vec<String>,
    /// Whether the first session must be refused.
    pub must_refuse: bool,
    /// The sessions.
    pub sessions: Vec<Session>,
}

/// How many configurations `sessions` sessions make: every promise is kept at least once if that is possible.
pub fn configurations(sessions: usize) -> usize {
    cells().len().max(sessions / 4).min(sessions)
}

/// The configuration of this number, of those that make `sessions` sessions, with its tables below `directory`.
pub fn configuration(seed: u64, number: usize, sessions: usize, directory: &Path) -> Configuration {
    let mut cells = cells();
    Random::new(seed).shuffle(&mut cells);
    let cell = cells[number % cells.len()];
    let of = configurations(sessions);
    let sessions = (number + 1) * sessions / of - number * sessions / of;
    let mut draft = Draft {
        random: Random::new(seed.wrapping_add(number as u64 + 1).wrapping_mul(0xA24B_AED4_963E_E407)),
        number,
        directory: directory.to_owned(),
        files: Vec::new(),
        zone: Vec::new(),
        parameters: Vec::new(),
        must_refuse: false,
    };
    draft.configuration(cell, sessions)
}

struct Draft {
    random: Random,
    number: usize,
    directory: PathBuf,
    files: Vec<Table>,
    zone: Vec<String>,
    parameters: Vec<(&'static str, &'static str)>,
    must_refuse: bool,
}

impl Draft {
    fn configuration(&mut self, cell: Cell, sessions: usize) -> Configuration {
        let delay_reject = !self.random.one_in(3);
        let relay_before_recipient = !self.random.one_in(3);
        let mut order = [0, 1, 2, RELAY, RECIPIENT];
        if !relay_before_recipient {
            order.swap(RELAY, RECIPIENT);
        }
        self.draw_parameters();
        let mut session = Session::ordinary(&mut self.random);
        let middle = self.middle(cell, &mut session);
        let open =
            order.iter().position(|list| *list >= first_list(cell.kind, delay_reject)).unwrap_or(order.len() - 1);
        let place = open + self.random.below(order.len() - open);
        let mut lists: [Vec<String>; 5] = Default::default();
        for (turn, list) in order.into_iter().enumerate() {
            lists[list] = match turn.cmp(&place) {
                Ordering::Less => self.harmless(&session),
                Ordering::Equal => [self.harmless(&session), middle.clone()].concat(),
                Ordering::Greater => Vec::new(),
            };
        }
        self.put_guard(&mut lists, order, &session);
        for list in &order[place..] {
            lists[*list].extend(self.anything());
        }
        let others = (1..sessions).map(|_| Session::any(&mut self.random));
        let sessions = [session].into_iter().chain(others.collect::<Vec<_>>()).collect();
        Configuration {
            number: self.number,
            cell,
            delay_reject,
            helo_required: self.random.one_in(2),
            relay_before_recipient,
            parameters: std::mem::take(&mut self.parameters),
            lists,
            files: std::mem::take(&mut self.files),
            zone: std::mem::take(&mut self.zone),
            must_refuse: self.must_refuse,
            sessions,
        }
    }

    fn draw_parameters(&mut self) {
        for (name, values) in PARAMETERS {
            if self.random.one_in(6) {
                self.parameters.push((name, self.random.pick(values)));
            }
        }
        if self.random.one_in(6) {
            self.parameters.push((PARENTS, "relay_domains"));
        }
    }

    fn spelling(&self) -> Spelling<'static> {
        let value = |name| self.parameters.iter().find(|(drawn, _)| *drawn == name).map(|(_, value)| *value);
        Spelling {
            dot: if value(PARENTS).is_some() { "." } else { "" },
            delimiters: value("recipient_delimiter").unwrap_or_default(),
            null_sender: value("smtpd_null_access_lookup_key").unwrap_or("<>"),
        }
    }

    /// Puts in what Postfix does not serve without, and we neither: relay control that no bare `permit` precedes. The
    /// session must not meet it before its turn.
    fn put_guard(&mut self, lists: &mut [Vec<String>; 5], order: [usize; 5], session: &Session) {
        let guard = self.random.pick(&["reject_unauth_destination", "defer_unauth_destination"]).to_owned();
        if !session.is_for_us() {
            lists[order[4]].push(guard);
            return;
        }
        let list = &mut lists[self.random.pick(&[RELAY, RECIPIENT])];
        let latest = list.iter().position(|restriction| restriction == "permit").unwrap_or(list.len());
        list.insert(self.random.below(latest + 1), guard);
    }

    /// The restriction that the configuration is about, with what the situation puts around it. The session becomes
    /// one that is in that situation.
    fn middle(&mut self, Cell { kind, situation }: Cell, session: &mut Session) -> Vec<String> {
        session.enter(kind, situation, &mut self.random);
        let restriction = match kind.argument {
            Argument::None => kind.name.to_owned(),
            Argument::List | Argument::FilteredList => self.list(kind, situation, session),
            Argument::Table(table_type) => self.table(kind, table_type, situation, session),
        };
        if let Argument::None | Argument::List | Argument::FilteredList = kind.argument {
            self.must_refuse = situation == Situation::Hit && !kind.permits;
        }
        let everyone = Table::everyone(&self.directory, self.number);
        match situation {
            Situation::AfterPermit if session.is_for_us() && self.random.one_in(2) => {
                vec!["permit".into(), restriction]
            }
            Situation::AfterPermit => {
                let permit = format!("check_client_access {}", everyone.name());
                self.files.push(everyone);
                vec![permit, restriction]
            }
            Situation::Warned | Situation::WarnedFailure => vec![format!("warn_if_reject {restriction}")],
            // What a permit does is seen by what it spares.
            _ if kind.permits => vec![restriction, "reject".into()],
            _ => vec![restriction],
        }
    }

    /// `name zone` or `name zone=codes`, with a zone of its own that knows the session or does not.
    fn list(&mut self, kind: &Kind, situation: Situation, session: &Session) -> String {
        let zone = format!("l{}.list.test", self.number);
        let (filter, passes, fails) = self.random.pick(&FILTERS);
        let filtered = kind.argument == Argument::FilteredList;
        let name = match session.domain(kind.subject) {
            Some(domain) => format!("{domain}.{zone}"),
            None => listed_name(session.client, &zone),
        };
        match situation {
            Situation::Miss if filtered => self.zone.push(format!("{name} A {fails}")),
            Situation::Miss => self.zone.extend(self.random.one_in(2).then(|| format!("{name} A !NODATA"))),
            Situation::Failure | Situation::WarnedFailure => {
                let failure =
                    if self.random.one_in(30) { "SILENCE" } else { self.random.pick(&["SERVFAIL", "REFUSED"]) };
                self.zone.push(format!("{name} A !{failure}"));
            }
            _ if !filtered && self.random.one_in(8) => self.zone.push(format!("{name} CNAME listed.test")),
            Situation::Hit | Situation::AfterPermit | Situation::Warned => {
                let code = if filtered { passes } else { self.random.pick(&CODES) };
                self.zone.push(format!("{name} A {code}"));
                if filtered && self.random.one_in(2) {
                    self.zone.push(format!("{name} A {fails}"));
                }
                let texts = tables::listing_texts(&mut self.random);
                self.zone.extend(texts.into_iter().map(|text| format!("{name} TXT {text}")));
            }
        }
        if filtered { format!("{} {zone}={filter}", kind.name) } else { format!("{} {zone}", kind.name) }
    }

    /// `name type:table`, with a row for the session or none.
    fn table(&mut self, kind: &Kind, table_type: &'static str, situation: Situation, session: &Session) -> String {
        let mut table = self.table_of_others(table_type);
        if situation != Situation::Miss {
            let keys = if kind.asks {
                tables::server_keys()
            } else {
                tables::keys(kind.subject, table_type, session, self.spelling())
            };
            let Action { text, refuses } = self.random.pick(&tables::ACTIONS);
            let key = keys[self.random.below(keys.len())].clone();
            table.put(&tables::spelt(key, &mut self.random), text);
            // Which servers the session names is for the DNS to say.
            self.must_refuse = match situation {
                Situation::Hit => refuses && !kind.asks,
                Situation::Failure => !kind.asks,
                _ => false,
            };
            if let Situation::Failure | Situation::WarnedFailure = situation {
                table.fail();
            }
        }
        self.use_table(kind, table)
    }

    fn table_of_others(&self, table_type: &'static str) -> Table {
        Table::of_others(&self.directory, self.number, self.files.len(), table_type)
    }

    fn use_table(&mut self, kind: &Kind, table: Table) -> String {
        let restriction = format!("{} {}", kind.name, table.name());
        if table.is_file() {
            self.files.push(table);
        }
        restriction
    }

    /// Restrictions that let the session pass.
    fn harmless(&mut self, session: &Session) -> Vec<String> {
        (0..self.random.below(3)).map(|_| self.harmless_restriction(session)).collect()
    }

    fn harmless_restriction(&mut self, session: &Session) -> String {
        let kind = self.random.pick(KINDS);
        match kind.argument {
            Argument::List | Argument::FilteredList => format!("{} {LIST_EMPTY}", kind.name),
            Argument::Table(table_type) if table_type != "fail" => {
                let table = self.table_of_others(table_type);
                self.use_table(&kind, table)
            }
            Argument::None if kind.name.ends_with("unauth_destination") && session.is_for_us() => kind.name.into(),
            Argument::None if !kind.permits => format!("warn_if_reject {}", kind.name),
            Argument::None | Argument::Table(_) => format!("reject_rbl_client {LIST_EMPTY}"),
        }
    }

    /// Restrictions of any kind, that may do anything to any session.
    fn anything(&mut self) -> Vec<String> {
        (0..self.random.below(4)).map(|_| self.any_restriction()).collect()
    }

    fn any_restriction(&mut self) -> String {
        let kind = self.random.pick(KINDS);
        // A bare "reject" ends every session; enough of them are drawn on purpose.
        let kind = if kind.subject == Subject::Nothing { self.random.pick(KINDS) } else { kind };
        let zones = [&LISTS_FULL[..], &[LIST_EMPTY, LIST_DOWN]].concat();
        let restriction = match kind.argument {
            _ if self.random.one_in(12) => self.random.pick(&CLASSES).0.to_owned(),
            Argument::None => kind.name.to_owned(),
            Argument::List => format!("{} {}", kind.name, self.random.pick(&zones)),
            Argument::FilteredList => {
                format!("{} {}={}", kind.name, self.random.pick(&zones), self.random.pick(&FILTERS).0)
            }
            Argument::Table(table_type) => {
                let mut table = self.table_of_others(table_type);
                tables::fill(&mut table, kind.subject, &mut self.random);
                self.use_table(&kind, table)
            }
        };
        if self.random.one_in(6) { format!("warn_if_reject {restriction}") } else { restriction }
    }
}

/// The first list, by its place, in which the facts are known that `kind` looks at.
fn first_list(kind: &Kind, delay_reject: bool) -> usize {
    match kind.subject {
        _ if delay_reject => 0,
        Subject::Helo => 1,
        Subject::Login | Subject::Sender => 2,
        Subject::Recipient => RELAY,
        _ => 0,
    }
}
