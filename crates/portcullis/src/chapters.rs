//! The findings of a decision laid beside the lists of the configuration, so that what was not asked can be told too.

use facts::{Finding, Outcome};

/// The relay list where `domains` are set and no list is (see the key `relay`).
const RELAY_DEFAULT: [&str; 3] = ["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"];

/// A list of restrictions as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its key in `[restrictions]`.
    pub name: &'static str,
    /// The strings of the list: a restriction each, most often.
    pub restrictions: Vec<String>,
}

/// What became of one list.
#[derive(Debug)]
pub struct Chapter<'a> {
    /// The list's key, or what else spoke.
    pub name: &'static str,
    /// Each restriction with what it found: nothing where it was not asked.
    pub entries: Vec<(&'a str, Vec<&'a Finding>)>,
}

impl Chapter<'_> {
    /// Whether any restriction of it was asked.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.entries.iter().any(|(_, found)| !found.is_empty())
    }
}

/// The lists that speak at RCPT, in the order of evaluation.
#[must_use]
pub fn lists(config: &judge::Config) -> Vec<List> {
    let restrictions = &config.restrictions;
    let texts = |list: &[toml::Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect();
    let is_ours = !config.domains.is_empty() || !config.relay_domains.is_empty();
    let relay = match &restrictions.relay {
        Some(relay) => texts(relay),
        None if is_ours => RELAY_DEFAULT.map(str::to_owned).to_vec(),
        None => Vec::new(),
    };
    let mut lists = vec![
        List { name: "client", restrictions: texts(&restrictions.client) },
        List { name: "helo", restrictions: texts(&restrictions.helo) },
        List { name: "sender", restrictions: texts(&restrictions.sender) },
        List { name: "relay", restrictions: relay },
        List { name: "recipient", restrictions: texts(&restrictions.recipient) },
    ];
    if !restrictions.relay_before_recipient {
        lists.swap(3, 4);
    }
    lists
}

/// Lays `findings` beside `lists`. A list is left for good when it ends, or when a later one goes on.
#[must_use]
pub fn chapters<'a>(lists: &'a [List], findings: &'a [Finding]) -> Vec<Chapter<'a>> {
    let unread = |list: &'a List| Chapter {
        name: list.name,
        entries: list.restrictions.iter().map(|restriction| (restriction.as_str(), Vec::new())).collect(),
    };
    let mut before = Chapter { name: "before the lists", entries: Vec::new() };
    let mut chapters: Vec<Chapter<'a>> = lists.iter().map(unread).collect();
    let mut from = (0, 0);
    for finding in findings {
        match place(lists, finding, from) {
            Some((list, entry)) => {
                from = match finding.outcome {
                    Outcome::Permit => (list + 1, 0),
                    // A string with several restrictions may have more to say.
                    _ => (list, entry + usize::from(lists[list].restrictions[entry] == *finding.restriction)),
                };
                if let Some((_, found)) = chapters.get_mut(list).and_then(|chapter| chapter.entries.get_mut(entry)) {
                    found.push(finding);
                }
            }
            None => before.entries.push((&finding.restriction, vec![finding])),
        }
    }
    if before.was_reached() {
        chapters.insert(0, before);
    }
    chapters
}

/// Where `finding` stands in the lists, not before `from`.
fn place(lists: &[List], finding: &Finding, from: (usize, usize)) -> Option<(usize, usize)> {
    lists.iter().enumerate().skip(from.0).find_map(|(index, list)| {
        let first = if index == from.0 { from.1 } else { 0 };
        let entry = list.restrictions.iter().skip(first).position(|text| holds(text, &finding.restriction))?;
        Some((index, first + entry))
    })
}

/// Whether `restriction` is among the words of `text`, which may hold several.
fn holds(text: &str, restriction: &str) -> bool {
    let words = |text: &'_ str| -> Vec<String> {
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        words.map(str::to_ascii_lowercase).collect()
    };
    let (text, restriction) = (words(text), words(restriction));
    text.windows(restriction.len().max(1)).any(|window| window == restriction)
}

#[cfg(test)]
mod tests {
    use facts::Stage;

    use super::*;

    /// Lists of words, what was found (`!` ends the list), and what the chapters then say.
    fn check(configured: &[&str], found: &[&str], told: &str) {
        let names = ["client", "helo", "sender"];
        let split = |text: &str| text.split('|').filter(|text| !text.is_empty()).map(str::to_owned).collect();
        let lists: Vec<List> =
            names.into_iter().zip(configured).map(|(name, text)| List { name, restrictions: split(text) }).collect();
        let finding = |text: &&str| Finding {
            stage: Stage::Rcpt,
            restriction: text.trim_end_matches('!').into(),
            outcome: if text.ends_with('!') { Outcome::Permit } else { Outcome::Dunno },
            evidence: Vec::new(),
            micros: 0,
        };
        let findings: Vec<Finding> = found.iter().map(finding).collect();
        let counted = |(text, found): &(&str, Vec<_>)| format!("{text}={}", found.len());
        let chapters: Vec<String> = chapters(&lists, &findings)
            .iter()
            .map(|chapter| chapter.entries.iter().map(counted).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(chapters.join(" / "), told);
    }

    #[test]
    fn what_was_not_asked_is_seen() {
        check(&["a|b|c", "a|d"], &["a!", "a", "d"], "a=1 b=0 c=0 / a=1 d=1");
        check(&["a|b", "a|d"], &["a", "b"], "a=1 b=1 / a=0 d=0");
        check(&["a", "", "a|b"], &["a", "a", "b"], "a=1 /  / a=1 b=1");
    }

    #[test]
    fn strings_may_hold_several() {
        check(&["A, list x|list y"], &["a", "list x", "list y"], "A, list x=2 list y=1");
        check(&["list x"], &["helo_required"], "helo_required=1 / list x=0");
    }
}
