//! Why a configuration is refused: the line, the place in it, and what was meant.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use facts::closest;
use store::without_passwords;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Parts of the design that come with later versions: their keys are known, and refused with that word.
const UNBUILT: [&str; 9] = ["spf", "dkim", "arc", "dmarc", "jails", "firewall", "dashboard", "reports", "smtp"];

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the text of the file, if anywhere.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What was meant, or what to do.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake that no place in the file shows.
    #[must_use]
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), help: None }
    }

    /// A key that nobody reads, where `known` ones could stand; `defaults` knows the keys of every section.
    #[must_use]
    pub fn unknown_key(key: &str, span: Range<usize>, known: &[&str], defaults: &toml::Table) -> Self {
        let message = format!("unknown key `{key}`");
        Self { span: Some(span), message, help: Some(help(key, known, defaults)) }
    }

    /// What serde or the TOML parser says, in our words.
    #[must_use]
    pub fn of_toml(error: &toml::de::Error, text: &str, defaults: &toml::Table) -> Self {
        let said = error.message();
        let plain = || {
            let span = error.span().map(|span| element(text, &span, said).unwrap_or(span));
            Self { span, message: without_passwords(said), help: None }
        };
        let Some((what, rest)) = ["field", "variant"].iter().find_map(|what| {
            let rest = said.strip_prefix("unknown ")?.strip_prefix(what)?.strip_prefix(" `")?;
            Some((*what, rest))
        }) else {
            return plain();
        };
        // serde: "unknown field `KEY`, expected one of `A`, `B`". A key may hold anything, so the last part decides.
        let Some((word, expected)) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no"))
        else {
            return plain();
        };
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        if what == "field" {
            return Self::unknown_key(word, error.span().unwrap_or_default(), &known, defaults);
        }
        let help = unbuilt(word).or_else(|| meant(word, &known)).unwrap_or_else(|| possible(&known));
        Self { span: error.span(), message: format!("unknown value `{word}`"), help: Some(help) }
    }

    /// What the judge says of the configuration in `text`.
    #[must_use]
    pub fn of_judge(mistake: &judge::Mistake, text: &str) -> Self {
        // The judge says what was meant at the end of its sentence.
        let (message, help) = match mistake.message.split_once(": did you mean ") {
            Some((message, meant)) => (message.to_owned(), Some(format!("did you mean {meant}"))),
            None => (mistake.message.clone(), None),
        };
        Self { span: mistake.place.as_ref().map(|place| place.within(text)), message, help }
    }
}

/// Where `span` is that of an array: the element of which `message` speaks.
fn element(text: &str, span: &Range<usize>, message: &str) -> Option<Range<usize>> {
    let array = DeValue::parse(text.get(span.clone())?).ok()?;
    let DeValue::Array(elements) = array.get_ref() else { return None };
    // What is wrong is named first; what was meant, and may stand in the array as well, comes after it.
    let named_at = |text: &str| Some((message.find(text)?, Reverse(text.len()))).filter(|_| !text.is_empty());
    let named = |element: &Spanned<DeValue<'_>>| Some((named_at(element.get_ref().as_str()?)?, element.span()));
    let (_, inner) = elements.iter().filter_map(named).min_by_key(|(place, _)| *place)?;
    Some(span.start + inner.start..span.start + inner.end)
}

fn help(key: &str, known: &[&str], defaults: &toml::Table) -> String {
    if let Some(help) = unbuilt(key).or_else(|| meant(key, known)) {
        return help;
    }
    let sections = sections_of(key, defaults, "");
    match sections.first() {
        // What stands after a [section] header belongs to that section: the commonest slip in TOML.
        Some(section) if section.is_empty() => {
            format!("`{key}` belongs at the top of the file, before the first [section]")
        }
        Some(_) => format!("`{key}` belongs under [{}]", sections.join("] or [")),
        None => possible(known),
    }
}

fn unbuilt(word: &str) -> Option<String> {
    UNBUILT.contains(&word).then(|| format!("`{word}` is not built yet in this version: leave it out"))
}

fn meant(word: &str, known: &[&str]) -> Option<String> {
    closest(word, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"))
}

/// Where the value at `path` stands in `text`.
#[must_use]
pub fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let (key, sections) = path.split_last()?;
    let top = DeTable::parse(text).ok()?;
    let section = sections.iter().try_fold(top.get_ref(), |table, name| table.get(*name)?.get_ref().as_table())?;
    Some(section.get(*key)?.span())
}

fn possible(known: &[&str]) -> String {
    if known.is_empty() { "nothing is known here".into() } else { format!("known here: {}", known.join(", ")) }
}

/// The sections in which `key` stands by default, outermost first: empty for the top of the file.
fn sections_of(key: &str, table: &toml::Table, path: &str) -> Vec<String> {
    let here = table.contains_key(key).then(|| path.to_owned());
    let inner = table.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
    let inner = inner.flat_map(|(name, section)| {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        sections_of(key, section, &inner)
    });
    here.into_iter().chain(inner).collect()
}

/// A configuration that is refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The file, or what else it came from.
    pub name: String,
    /// Its text; empty where it could not be read.
    pub text: String,
    /// What is wrong with it; never empty.
    pub mistakes: Vec<Mistake>,
}

impl std::error::Error for Refused {}

/// Without colours.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Level::ERROR, &Renderer::plain()))
    }
}

impl Refused {
    /// Each mistake in a line of its own, for the log: `FILE:LINE: MESSAGE: HELP`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(|mistake| {
            let line = mistake.span.as_ref().map(|span| format!(":{}", self.line_and_column(span.start).0));
            let help = mistake.help.as_ref().map(|help| format!(": {help}"));
            format!("{}{}: {}{}", self.name, line.unwrap_or_default(), mistake.message, help.unwrap_or_default())
        })
    }

    /// With colours, for a terminal.
    #[must_use]
    pub fn coloured(&self) -> String {
        self.render(Level::ERROR, &Renderer::styled())
    }

    /// Every mistake with its line, as `level`.
    #[must_use]
    pub fn render(&self, level: Level<'static>, renderer: &Renderer) -> String {
        let told = |mistake| renderer.render(&[self.group(mistake, level.clone())]);
        self.mistakes.iter().map(told).collect::<Vec<_>>().join("\n\n")
    }

    /// Where the byte at `offset` stands in the text: its line and its column, both from 1.
    #[must_use]
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let (before, _) = self.text.split_at(self.text.floor_char_boundary(offset));
        let line = before.rsplit('\n').next().unwrap_or(before);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    fn group<'a>(&'a self, mistake: &'a Mistake, level: Level<'static>) -> Group<'a> {
        let title = level.primary_title(normalize_untrusted_str(&mistake.message));
        let group = match &mistake.span {
            Some(span) => {
                let marked = AnnotationKind::Primary.span(self.within(span));
                title.element(Snippet::source(without_passwords(&self.text)).path(&self.name).annotation(marked))
            }
            None => title.element(Origin::path(&self.name)),
        };
        match &mistake.help {
            Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
            None => group,
        }
    }

    /// `span` cut to the text and to its first line: what is wrong with a table starts at its head.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let rest = &self.text[start..];
        let line = rest.lines().next().map_or(0, str::len);
        let end = self.text.ceil_char_boundary(span.end.max(start)).min(start + line);
        start..end
    }
}
