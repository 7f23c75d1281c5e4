//! Access tables whose rows name restrictions instead of an action.

use std::sync::Arc;

use toml::Spanned;

use super::words::{Word, words};
use super::{Mistake, Parser};
use crate::restriction::{Access, Digest, Restriction, RowLists, Subject};
use crate::tables::action::{Action, Codes};
use crate::tables::{Table, WARNINGS_MAX, braces};

/// As Postfix asks where nobody says otherwise.
const SEARCH_ORDER: [Digest; 2] = [Digest::Certificate, Digest::PublicKey];

impl Parser<'_> {
    /// A table for lookups by `subject`, with the restrictions that its rows name.
    pub(super) fn access(&mut self, argument: &Word, subject: Subject) -> Option<Arc<Access>> {
        let (table, search_order) = self.table_and_order(argument, subject)?;
        let table = self.table(&table)?;
        let key = (argument.text.clone(), subject);
        if let Some(access) = self.accesses.get(&key) {
            return Some(Arc::clone(access));
        }
        if self.open_accesses.contains(&key) {
            self.mistake(argument, format!("the rows of {} lead back to it", argument.text));
            return None;
        }
        self.open_accesses.push(key.clone());
        let access = Arc::new(Access { lists: self.row_lists(argument, subject, &table), table, search_order });
        self.open_accesses.pop();
        self.accesses.insert(key, Arc::clone(&access));
        Some(access)
    }

    /// The table of an argument, which `check_ccert_access` may have in braces with the digests that it asks for:
    /// `{ type:table, { search_order = pubkey_fingerprint cert_fingerprint } }`.
    fn table_and_order(&mut self, argument: &Word, subject: Subject) -> Option<(Word, Vec<Digest>)> {
        let inside = braces::inside(&argument.text).filter(|_| subject == Subject::Certificate);
        let Some(inside) = inside else { return Some((argument.clone(), SEARCH_ORDER.to_vec())) };
        let mut parts = braces::words(inside);
        let table = Word { text: parts.next().unwrap_or_default().to_owned(), place: argument.place.clone() };
        let order = parts.try_fold(SEARCH_ORDER.to_vec(), |_, option| search_order(option));
        order.map_err(|message| self.mistake(argument, message)).ok().map(|order| (table, order))
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
            let at = if line == 0 { String::new() } else { format!(", line {line}") };
            let message = format!("{name}{at}: {complaint}");
            self.warnings.push(Mistake { place: argument.place.clone(), message });
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

/// `{ search_order = name name }`
fn search_order(option: &str) -> Result<Vec<Digest>, String> {
    let inside = braces::inside(option).unwrap_or(option);
    let Some(("search_order", names)) = inside.split_once('=').map(|(name, names)| (name.trim(), names)) else {
        return Err(format!("\"{option}\" is no option of check_ccert_access: write search_order = name, name"));
    };
    let digest = |name| match name {
        "cert_fingerprint" => Ok(Digest::Certificate),
        "pubkey_fingerprint" => Ok(Digest::PublicKey),
        _ => Err(format!("search_order knows cert_fingerprint and pubkey_fingerprint, not \"{name}\"")),
    };
    braces::words(names).map(digest).collect()
}
