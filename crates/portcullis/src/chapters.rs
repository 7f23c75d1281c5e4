//! The findings of a decision laid beside the lists of the configuration, so that what was not asked can be told too.

use std::sync::Arc;

use facts::{Finding, Stage};
use judge::List;

/// What became of one list.
#[derive(Debug)]
pub struct Chapter<'a> {
    /// The list's key, or what else spoke.
    pub name: &'static str,
    /// Each restriction with what it found: nothing where it was not asked.
    pub entries: Vec<(&'a str, Option<&'a Finding>)>,
}

impl Chapter<'_> {
    /// Whether any restriction of it was asked.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.entries.iter().any(|(_, found)| found.is_some())
    }
}

/// The chapters of a decision at RCPT: what was found before any list spoke, then list by list.
#[must_use]
pub fn chapters<'a>(lists: &'a [List], findings: &'a [Finding]) -> Vec<Chapter<'a>> {
    let lists: Vec<&List> = lists.iter().filter(|list| list.stage <= Stage::Rcpt).collect();
    // A finding shares the very text of its restriction, so that twins in two lists are told apart.
    let is_of = |finding: &Finding, text: &Arc<str>| Arc::ptr_eq(&finding.restriction, text);
    let texts = || lists.iter().flat_map(|list| &list.restrictions).map(|restriction| &restriction.text);
    let before = findings.iter().filter(|finding| !texts().any(|text| is_of(finding, text)));
    let before: Vec<_> = before.map(|finding| (&*finding.restriction, Some(finding))).collect();
    let entry = |text: &'a Arc<str>| (&**text, findings.iter().find(|finding| is_of(finding, text)));
    let chapter = |list: &&'a List| Chapter {
        name: list.name,
        entries: list.restrictions.iter().map(|restriction| entry(&restriction.text)).collect(),
    };
    let first = (!before.is_empty()).then_some(Chapter { name: "before the lists", entries: before });
    first.into_iter().chain(lists.iter().map(chapter)).collect()
}
