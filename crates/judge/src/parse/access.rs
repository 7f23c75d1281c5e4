//! Access tables whose rows name restrictions instead of an action.

use std::sync::Arc;

use toml::Spanned;

use super::words::{Word, words};
use super::{Mistake, Parser};
use crate::restriction::{Access, Restriction, RowLists, Subject};
use crate::tables::action::{Action, Codes};
use crate::tables::{Table, WARNINGS_MAX};

impl Parser<'_> {
    /// A table for lookups by `subject`, with the restrictions that its rows name.
    pub(super) fn access(&mut self, argument: &Word, subject: Subject) -> Option<Arc<Access>> {
        let table = self.table(argument)?;
        let key = (argument.text.clone(), subject);
        if let Some(access) = self.accesses.get(&key) {
            return Some(Arc::clone(access));
        }
        if self.open_accesses.contains(&key) {
            self.mistake(argument, format!("the rows of {} lead back to it", argument.text));
            return None;
        }
        self.open_accesses.push(key.clone());
        let access = Arc::new(Access { lists: self.row_lists(argument, subject, &table), table });
        self.open_accesses.pop();
        self.accesses.insert(key, Arc::clone(&access));
        Some(access)
    }

    /// The lists of all rows that hold no action. A row that holds neither is complained about.
    fn row_lists(&mut self, argument: &Word, subject: Subject, table: &Table) -> RowLists {
        let mut lists = RowLists::default();
        let mut complaints = Vec::new();
        for (name, line, value) in table.values() {
            match Action::parse(value, Codes { reject: 554, defer: 450 }) {
                Action::Incomplete(needs) => complaints.push((name, line, format!("{needs}: the row counts as DUNNO"))),
                Action::Unusable if !lists.contains_key(value) => match self.row_list(value, subject) {
                    Ok(list) => {
                        lists.insert(value.into(), list);
                    }
                    Err(complaint) => complaints.push((name, line, complaint)),
                },
                _ => {}
            }
        }
        complaints.sort();
        for (name, line, complaint) in complaints.into_iter().take(WARNINGS_MAX) {
            let place = if line == 0 { String::new() } else { format!(", line {line}") };
            let message = format!("{name}{place}: {complaint}");
            self.warnings.push(Mistake { span: argument.span.clone(), message });
        }
        lists
    }

    fn row_list(&mut self, value: &str, subject: Subject) -> Result<Arc<[Arc<Restriction>]>, String> {
        let unusable = |why: &str| {
            format!("\"{value}\" is not an action ({why}): who meets it is told to come back later (451 4.3.5)")
        };
        if value.contains(':') {
            return Err(unusable("a row names no table: name a class in [restrictions.classes] that does"));
        }
        let before = self.mistakes.len();
        let mut restrictions = Vec::new();
        self.append(words(&Spanned::new(0..0, value.to_owned())), Some(subject), false, &mut restrictions);
        match self.mistakes.split_off(before).first() {
            Some(mistake) => Err(unusable(&mistake.message)),
            None if restrictions.is_empty() => Err(unusable("it is empty")),
            None => Ok(restrictions.into_iter().map(Arc::new).collect()),
        }
    }
}
