//! What is promised to be drawn: every restriction in every situation that it can be in.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::actions::{ACTIONS, Action, RESTRICTIONS};
use super::kinds::{Argument, KINDS, Kind, Subject};
use super::lists::List;

/// The situation in which a restriction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// It acts.
    Hit,
    /// It does not.
    Miss,
    /// The DNS or the table cannot answer it.
    Failure,
    /// It would act, but a permit stands before it.
    AfterPermit,
    /// It would act, but `warn_if_reject` stands before it.
    Warned,
    /// The DNS or the table cannot answer it, and `warn_if_reject` stands before it.
    WarnedFailure,
}

/// One promise: a restriction in a situation.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The restriction.
    pub kind: &'static Kind,
    /// The situation.
    pub situation: Situation,
    /// What its table or its policy service must say.
    pub action: Option<Action>,
}

const SITUATIONS: [Situation; 6] = [
    Situation::Hit,
    Situation::Miss,
    Situation::Failure,
    Situation::AfterPermit,
    Situation::Warned,
    Situation::WarnedFailure,
];

impl Kind {
    /// Whether it can be in this situation at all.
    fn can_be(&self, situation: Situation) -> bool {
        let Self { argument, subject, permits, asks, map, .. } = *self;
        // What becomes of an answer does not hang on who gives it.
        let is_example = match argument {
            Argument::Table(table_type) => matches!(table_type, "inline" | "fail"),
            Argument::PolicyService(attribute) => attribute == "protocol_state",
            _ => argument != Argument::FilteredList,
        };
        match situation {
            Situation::Hit => argument != Argument::Table("fail"),
            Situation::AfterPermit | Situation::Warned | Situation::WarnedFailure if !is_example => false,
            // A list or a server that cannot be asked has no say, warned of or not.
            Situation::WarnedFailure if asks && !permits && argument != Argument::None => false,
            Situation::Warned => argument != Argument::Table("fail"),
            Situation::Miss => subject != Subject::Nothing && !matches!(argument, Argument::Table("fail" | "static")),
            Situation::AfterPermit => true,
            Situation::Failure | Situation::WarnedFailure => {
                let of_table = matches!(argument, Argument::Table("fail" | "unionmap" | "pipemap"));
                asks || map.is_some() || of_table || argument == Argument::PolicyService("protocol_state")
            }
        }
    }

    /// The restriction's row in the table of what was drawn.
    pub fn row(&self) -> String {
        match self.argument {
            Argument::None => self.name.to_owned(),
            Argument::List => format!("{} ZONE", self.name),
            Argument::FilteredList => format!("{} ZONE=CODES", self.name),
            Argument::Table(table_type) => format!("{} {table_type}:", self.name),
            Argument::PolicyService(attribute) => format!("{} by {attribute}", self.name),
            Argument::Zero => format!("{} 0", self.name),
        }
    }

    /// Whether its row or its service says what is to be done, as soon as it is drawn.
    fn says_action(&self) -> bool {
        !self.asks && matches!(self.argument, Argument::Table(_) | Argument::PolicyService(_))
    }
}

/// Every promise. Which action belongs to which restriction turns with `seed`, and every action belongs to one.
pub fn cells(seed: u64) -> Vec<Cell> {
    let of = |kind: &'static Kind| SITUATIONS.iter().map(move |&situation| Cell { kind, situation, action: None });
    let mut cells: Vec<Cell> = KINDS.iter().flat_map(of).filter(|cell| cell.kind.can_be(cell.situation)).collect();
    let acts = |cell: &&mut Cell| cell.situation == Situation::Hit && cell.kind.says_action();
    let is_table = |cell: &&mut Cell| matches!(cell.kind.argument, Argument::Table(_));
    let (mut tables, services): (Vec<_>, Vec<_>) = cells.iter_mut().filter(acts).partition(is_table);
    let turn = seed as usize % tables.len();
    tables.rotate_left(turn);
    // Services come last: restrictions are named by rows alone.
    let actions = RESTRICTIONS.iter().chain(ACTIONS.iter().cycle());
    for (cell, action) in tables.into_iter().chain(services).zip(actions) {
        cell.action = Some(*action);
    }
    cells
}

/// How often each promise was kept.
#[derive(Default)]
pub struct Tally {
    cells: BTreeMap<(String, Situation), u32>,
    actions: BTreeMap<&'static str, u32>,
    lists: BTreeMap<&'static str, u32>,
}

impl Tally {
    /// Counts one, in the list in which it was drawn.
    pub fn count(&mut self, cell: Cell, list: List) {
        *self.cells.entry((cell.kind.row(), cell.situation)).or_default() += 1;
        *self.lists.entry(list.key()).or_default() += 1;
        if let Some(action) = cell.action {
            *self.actions.entry(action.text).or_default() += 1;
        }
    }

    /// The promises that were not kept.
    pub fn broken(&self) -> Vec<String> {
        let is_broken = |cell: &Cell| !self.cells.contains_key(&(cell.kind.row(), cell.situation));
        let cells = cells(0).into_iter().filter(is_broken);
        let cells = cells.map(|cell| format!("{} {:?}", cell.kind.row(), cell.situation));
        let actions = ACTIONS.iter().chain(&RESTRICTIONS).map(|action| action.text);
        let actions = actions.filter(|action| !self.actions.contains_key(action)).map(|action| format!("\"{action}\""));
        let lists = List::ALL.map(List::key).into_iter().filter(|list| !self.lists.contains_key(list));
        cells.chain(actions).chain(lists.map(|list| format!("the {list} list"))).collect()
    }

    /// The tables of restrictions and situations, of lists, and of actions.
    pub fn table(&self) -> String {
        let mut text = format!("{:44}", "");
        for situation in SITUATIONS {
            let _ = write!(text, "{:>14}", format!("{situation:?}"));
        }
        for kind in KINDS {
            let _ = write!(text, "\n{:44}", kind.row());
            for situation in SITUATIONS {
                let count = self.cells.get(&(kind.row(), situation)).map_or("-".into(), u32::to_string);
                let _ = write!(text, "{count:>14}");
            }
        }
        for (what, count) in self.lists.iter().chain(&self.actions) {
            let _ = write!(text, "\n{what:44}{count:>14}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::LEFT_OUT;
    use super::*;

    #[test]
    fn no_restriction_is_forgotten() {
        let drawn = |name: &str| KINDS.iter().any(|kind| kind.name == name);
        for restriction in judge::restriction::RESTRICTIONS {
            let reason = LEFT_OUT.iter().find(|(name, _)| *name == restriction.name);
            assert_ne!(drawn(restriction.name), reason.is_some(), "{} is drawn, or left out", restriction.name);
        }
        let known = |name: &str| judge::restriction::RESTRICTIONS.iter().any(|restriction| restriction.name == name);
        assert!(LEFT_OUT.iter().all(|(name, _)| known(name)), "{LEFT_OUT:?}");
    }

    #[test]
    fn every_action_has_its_restriction() {
        assert!(cells(0).len() <= 450, "{} promises in 500 sessions", cells(0).len());
        for seed in 0..100 {
            let cells = cells(seed);
            let drawn = |action: &Action| cells.iter().filter_map(|cell| cell.action).any(|it| it.text == action.text);
            assert!(ACTIONS.iter().chain(&RESTRICTIONS).all(drawn), "seed {seed}");
        }
    }
}
