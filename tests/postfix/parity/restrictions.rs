//! Draws restrictions: the one that a configuration is about, and others around it.

use std::fmt::Write;

use super::actions::{self, Action};
use super::draw::{CLASSES, Draft};
use super::kinds::{Argument, KINDS, Kind, Subject};
use super::lists::List;
use super::quota::{Cell, Situation};
use super::session::Session;
use super::tables::{self, Table};
use super::world::{LIST_DOWN, LIST_EMPTY, LISTS_FULL};
use crate::support::policy_service::{Answer, Rule};
use crate::support::zone::listed_name;

/// Where the policy service of the drawn restrictions listens, and where nobody does.
pub const POLICY_SERVICE: &str = "127.0.0.1:10031";
const NOBODY: &str = "127.0.0.1:9";
/// What is no answer of a policy service.
const GARBAGE: [&str; 4] = ["", "garbage\n\n", "result=REJECT\n\n", "action=REJECT\n"];
/// What is done where a policy service does not answer; empty: Postfix's default.
const DEFAULT_ACTIONS: [&str; 5] = ["", "", "DUNNO", "DEFER_IF_PERMIT 4.7.1 perhaps", "554 5.7.1 nobody answers"];

/// Filters of DNS lists, with a code that passes and one that does not.
const FILTERS: [(&str, &str, &str); 5] = [
    ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
    ("127.0.0.[2..4]", "127.0.0.3", "127.0.0.5"),
    ("127.0.[0..255].[1..3]", "127.0.7.2", "127.0.7.4"),
    ("127.0.0.[1;3;5..9]", "127.0.0.7", "127.0.0.4"),
    ("127.0.[1..2].[0..255]", "127.0.2.200", "127.0.3.1"),
];
const CODES: [&str; 5] = ["127.0.0.2", "127.0.0.10", "127.0.1.2", "127.0.5.1", "192.0.2.1"];

impl Draft<'_> {
    /// The restriction that the configuration is about, with what the situation puts around it. Its list speaks at
    /// `state`.
    pub fn middle(&mut self, cell: Cell, session: &Session, state: &str) -> Vec<String> {
        let Cell { kind, situation, .. } = cell;
        let restriction = match kind.argument {
            Argument::None => kind.name.to_owned(),
            Argument::Zero => format!("{} 0", kind.name),
            Argument::List | Argument::FilteredList => self.list(kind, situation, session),
            Argument::Table(table_type) => self.table(cell, table_type, session),
            Argument::PolicyService("protocol_state") => self.service("protocol_state", state.to_owned(), cell),
            Argument::PolicyService(attribute) => self.service(attribute, session.attribute(attribute), cell),
        };
        if let Argument::None | Argument::List | Argument::FilteredList = kind.argument {
            self.must_refuse = situation == Situation::Hit && !kind.permits;
        }
        if let Argument::PolicyService(_) = kind.argument {
            self.must_refuse = cell.action.is_some_and(|action| action.refuses);
        }
        if let (Some(map), Situation::Failure | Situation::WarnedFailure) = (kind.map, situation) {
            self.parameters.retain(|(name, _)| *name != map);
            self.parameters.push((map, tables::failing(map)));
        }
        self.surrounded(restriction, cell, session)
    }

    fn surrounded(&mut self, restriction: String, cell: Cell, session: &Session) -> Vec<String> {
        let everyone = Table::everyone(&self.directory, self.number);
        match cell.situation {
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
            _ if cell.kind.permits => vec![restriction, "reject".into()],
            Situation::Hit if cell.action.is_some_and(|action| !action.refuses) && self.random.one_in(2) => {
                vec![restriction, "reject".into()]
            }
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
    fn table(&mut self, cell: Cell, table_type: &'static str, session: &Session) -> String {
        let Cell { kind, situation, action } = cell;
        let mut table = self.table_of_others(table_type);
        if situation != Situation::Miss {
            let keys = if kind.asks {
                tables::server_keys()
            } else {
                tables::keys(kind.subject, table_type, session, self.spelling())
            };
            let Action { text, refuses } = action.unwrap_or_else(|| actions::any(&mut self.random));
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

    /// `check_policy_service { inet:address, options }`, with a rule of its own: it acts where `attribute` is `value`.
    fn service(&mut self, attribute: &'static str, value: String, cell: Cell) -> String {
        let fails = matches!(cell.situation, Situation::Failure | Situation::WarnedFailure);
        let action = cell.action.unwrap_or_else(|| self.random.pick(&actions::ACTIONS));
        let rule = Rule {
            context: format!("{}-{}", self.number, self.rules.len()),
            attribute,
            value: if cell.situation == Situation::Miss { "nobody.invalid".to_owned() } else { value },
            answer: if fails { Answer::Garbage(self.random.pick(&GARBAGE)) } else { Answer::Action(action.text) },
        };
        let address = if fails && self.random.one_in(4) { NOBODY } else { POLICY_SERVICE };
        let mut text = format!("{} {{ inet:{address}, policy_context={}", cell.kind.name, rule.context);
        self.rules.push(rule);
        if fails {
            // A second try costs a second.
            text.push_str(", try_limit=1");
            let default_action = self.random.pick(&DEFAULT_ACTIONS);
            if !default_action.is_empty() {
                let _ = write!(text, ", {{ default_action = {default_action} }}");
            }
        }
        text + " }"
    }

    /// Restrictions that let the session pass.
    pub fn harmless(&mut self, session: &Session) -> Vec<String> {
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
            Argument::Zero => format!("{} 0", kind.name),
            // Where a policy service is asked, explain cannot be compared.
            Argument::None | Argument::Table(_) | Argument::PolicyService(_) => {
                format!("reject_rbl_client {LIST_EMPTY}")
            }
        }
    }

    /// Restrictions of any kind, that may do anything to any session.
    pub fn anything(&mut self, list: List) -> Vec<String> {
        (0..self.random.below(4)).map(|_| self.any_restriction(list)).collect()
    }

    fn any_restriction(&mut self, list: List) -> String {
        let kind: &'static Kind = &KINDS[self.random.below(KINDS.len())];
        // A bare "reject" ends every session, and where a policy service is asked, explain cannot be compared; enough of
        // them are drawn on purpose.
        let is_enough = kind.subject == Subject::Nothing || matches!(kind.argument, Argument::PolicyService(_));
        let kind = if is_enough { &KINDS[self.random.below(KINDS.len())] } else { kind };
        let zones = [&LISTS_FULL[..], &[LIST_EMPTY, LIST_DOWN]].concat();
        let restriction = match kind.argument {
            _ if self.random.one_in(12) => self.random.pick(&CLASSES).0.to_owned(),
            // What it cannot do in this list (see report::NOT_DRAWN).
            Argument::None if list < List::first(kind, true) => {
                format!("reject_rbl_client {LIST_EMPTY}")
            }
            Argument::None => kind.name.to_owned(),
            Argument::Zero => format!("{} 0", kind.name),
            Argument::List => format!("{} {}", kind.name, self.random.pick(&zones)),
            Argument::FilteredList => {
                format!("{} {}={}", kind.name, self.random.pick(&zones), self.random.pick(&FILTERS).0)
            }
            Argument::Table(table_type) => {
                let mut table = self.table_of_others(table_type);
                tables::fill(&mut table, kind.subject, &mut self.random);
                self.use_table(kind, table)
            }
            Argument::PolicyService(attribute) => {
                let value = Session::any(self.certificates, &mut self.random).attribute(attribute);
                let situation = self.random.pick(&[Situation::Hit, Situation::Failure]);
                self.service(attribute, value, Cell { kind, situation, action: None })
            }
        };
        if self.random.one_in(6) { format!("warn_if_reject {restriction}") } else { restriction }
    }
}
