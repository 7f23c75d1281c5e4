//! The findings of a decision laid beside the lists of the configuration, so that what was not asked can be told too.

use facts::{Finding, Stage};
use judge::List;

/// What was found before any list spoke.
const BEFORE: &str = "before the lists";

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

/// The chapters of a decision at `stage`: what was found before any list spoke, then list by list.
#[must_use]
pub fn chapters<'a>(lists: &'a [List], findings: &'a [Finding], stage: Stage) -> Vec<Chapter<'a>> {
    let of = |name: &'a str| findings.iter().filter(move |finding| finding.list == name);
    let chapter = |list: &'a List| {
        let found = of(list.name).map(Some).chain(std::iter::repeat(None));
        let entries = list.restrictions.iter().map(|restriction| restriction.text).zip(found).collect();
        Chapter { name: list.name, entries }
    };
    let before: Vec<_> = of("").map(|finding| (finding.restriction, Some(finding))).collect();
    let first = (!before.is_empty()).then_some(Chapter { name: BEFORE, entries: before });
    first.into_iter().chain(lists.iter().filter(|list| is_of(list.stage, stage)).map(chapter)).collect()
}

/// The chapters of a decision whose lists may have changed since: what was asked, list by list.
#[must_use]
pub fn chapters_found<'a>(findings: &'a [Finding]) -> Vec<Chapter<'a>> {
    let of_list = findings.chunk_by(|one, next| one.list == next.list);
    let chapter = |found: &'a [Finding]| {
        let name = found.first().map(|finding| finding.list).filter(|list| !list.is_empty());
        let entries = found.iter().map(|finding| (finding.restriction, Some(finding))).collect();
        Chapter { name: name.unwrap_or(BEFORE), entries }
    };
    of_list.map(chapter).collect()
}

/// Whether a list of this stage may have a say at `stage`.
fn is_of(list: Stage, stage: Stage) -> bool {
    match stage {
        Stage::Data | Stage::EndOfData => list == stage,
        Stage::Etrn => list <= stage,
        Stage::Connect | Stage::Helo | Stage::Mail | Stage::Rcpt => list <= stage && list != Stage::Etrn,
    }
}
