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
        let restrictions: Vec<&str> = list.restrictions.iter().map(|restriction| restriction.text).collect();
        Chapter { name: list.name, entries: beside(&restrictions, of(list.name)) }
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

/// Each restriction with what it found, and behind it what those found that a row of its table names. Restrictions are
/// left out in the middle, too: in shadow, where what they say would change nothing.
fn beside<'a>(
    restrictions: &[&'a str],
    findings: impl Iterator<Item = &'a Finding>,
) -> Vec<(&'a str, Option<&'a Finding>)> {
    let mut findings = findings.peekable();
    let mut entries = Vec::new();
    for (position, restriction) in restrictions.iter().enumerate() {
        let own = findings.next_if(|finding| finding.restriction == *restriction);
        entries.push((*restriction, own));
        let to_come = restrictions.get(position + 1..).unwrap_or_default();
        while own.is_some()
            && let Some(inner) = findings.next_if(|finding| !to_come.contains(&finding.restriction))
        {
            entries.push((inner.restriction, Some(inner)));
        }
    }
    entries
}

/// Whether a list of this stage may have a say at `stage`.
fn is_of(list: Stage, stage: Stage) -> bool {
    match stage {
        Stage::Data | Stage::EndOfData => list == stage,
        Stage::Etrn => list <= stage,
        Stage::Connect | Stage::Helo | Stage::Mail | Stage::Rcpt => list <= stage && list != Stage::Etrn,
    }
}

#[cfg(test)]
mod tests {
    use facts::Outcome;

    use super::*;

    #[test]
    fn findings_stand_beside_their_restrictions() {
        let finding = |restriction| Finding {
            list: "recipient",
            stage: Stage::Rcpt,
            restriction,
            outcome: Outcome::Dunno,
            evidence: Vec::new(),
            micros: 0,
        };
        for (found, expected) in [
            ("", "-a -b -c -b"),
            ("a b", "a b -c -b"),
            ("a b c b", "a b c b"),
            // Not all were asked.
            ("a c", "a -b c -b"),
            // A row of a's table names others.
            ("a x y b", "a x y b -c -b"),
            ("a x", "a x -b -c -b"),
        ] {
            let findings: Vec<Finding> = found.split_whitespace().map(finding).collect();
            let entries = beside(&["a", "b", "c", "b"], findings.iter());
            let told = entries.iter().map(|(name, found)| found.map_or(format!("-{name}"), |_| (*name).into()));
            assert_eq!(told.collect::<Vec<String>>().join(" "), expected, "{found}");
        }
    }
}
