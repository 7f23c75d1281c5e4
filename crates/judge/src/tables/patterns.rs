//! Tables of patterns (regexp_table(5), pcre_table(5)): the first row whose pattern is found in the key counts.

mod backtrack;
mod engine;
mod escapes;
mod literals;
mod pcre;
mod regexp;
mod replacement;
mod syntax;

use std::borrow::Cow;

pub(in crate::tables) use self::engine::Work;
use self::engine::{Memory, Pattern, Spent};
use self::literals::{Literals, Present, Texts};
use self::replacement::Replacement;
use super::lines::{self, Complaints, keyword};
use super::{Found, Parsed, Unavailable, VALUE_SIZE_MAX};

/// What a pattern costs that need not be tried.
const SKIP_COST: usize = 16;
/// The most rows and `if`s of a table.
pub(super) const RULES_MAX: usize = 5_000;

/// The two kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Regexp,
    Pcre,
}

/// The settings of an expression; by default those of an expression with none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    /// pcre: `.` matches a line feed as well.
    dot_all: bool,
    /// regexp: extended expressions; pcre: white space does not count.
    extended: bool,
    anchored: bool,
    /// pcre: quantifiers match as little as they can.
    ungreedy: bool,
}

/// The rules of a table, in order.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    literals: Option<Literals>,
}

#[derive(Debug)]
struct Rule {
    line: usize,
    test: Test,
    then: Then,
}

/// A pattern, and whether (`!`) it must not be found.
#[derive(Debug)]
struct Test {
    /// The number of a text that must stand in the key.
    literal: Option<usize>,
    pattern: Pattern,
    found: bool,
}

#[derive(Debug)]
enum Then {
    /// The row counts, unless a second test (`/a/!/b/`) fails.
    Answer { and: Option<Test>, replacement: Replacement },
    /// `if`: keys that do not pass go on after as many rules.
    Else(usize),
}

/// A key, which of the table's texts stand in it, and what the search may still cost.
struct Search<'a> {
    key: &'a [u8],
    present: Option<Present>,
    work: &'a Work,
}

impl Test {
    fn passes(&self, search: &Search<'_>) -> Result<bool, Spent> {
        let Search { key, present, work } = search;
        if let (Some(literal), Some(present)) = (self.literal, present)
            && !present.has(literal)
        {
            work.spend(SKIP_COST)?;
            return Ok(!self.found);
        }
        Ok(self.pattern.is_in(key, work)? == self.found)
    }
}

impl Rules {
    /// What the first row says whose pattern is found in `key`.
    pub(super) fn find(&self, key: &str, work: &Work) -> Result<Option<Found<'_>>, Unavailable> {
        let search = self.search(key.as_bytes(), work)?;
        let mut index = 0;
        while let Some(rule) = self.rules.get(index) {
            let spent = |_: Spent| Unavailable::Work(rule.line);
            let passes = rule.test.passes(&search).map_err(spent)?;
            match &rule.then {
                Then::Answer { and, replacement } => {
                    let second = |test: &Test| test.passes(&search);
                    if passes && and.as_ref().map_or(Ok(true), second).map_err(spent)? {
                        let value = rule.answer(replacement, key, work)?;
                        return Ok(Some(Found { value, line: rule.line }));
                    }
                    index += 1;
                }
                Then::Else(skip) => index += if passes { 1 } else { *skip },
            }
        }
        Ok(None)
    }

    fn search<'a>(&self, key: &'a [u8], work: &'a Work) -> Result<Search<'a>, Unavailable> {
        let present = self.literals.as_ref().map(|literals| literals.present(key, work)).transpose();
        let first_line = self.rules.first().map_or(0, |rule| rule.line);
        Ok(Search { key, present: present.map_err(|_| Unavailable::Work(first_line))?, work })
    }

    /// The right-hand sides, as far as they are known without a key, and their lines.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rules.iter().filter_map(|rule| match &rule.then {
            Then::Answer { replacement, .. } => Some((rule.line, replacement.first_word()?)),
            Then::Else(_) => None,
        })
    }
}

impl Rule {
    fn answer<'a>(&self, replacement: &'a Replacement, key: &str, work: &Work) -> Result<Cow<'a, str>, Unavailable> {
        if let Some(text) = replacement.literal() {
            return Ok(text.into());
        }
        let groups = self.test.pattern.groups(key.as_bytes(), work).map_err(|_| Unavailable::Work(self.line))?;
        let text = replacement.expand(key.as_bytes(), &groups.unwrap_or_default(), VALUE_SIZE_MAX);
        let text = text.ok_or(Unavailable::Size)?;
        String::from_utf8(text).map(Cow::from).map_err(|_| Unavailable::NotText(self.line))
    }
}

/// Parses the lines of a table; a rule with a mistake is left out.
///
/// # Errors
/// A sentence: there are too many rules.
pub(super) fn parse(syntax: Syntax, text: &[u8]) -> Result<Parsed<Rules>, String> {
    let mut parser = Parser {
        syntax,
        memory: Memory::new(),
        texts: Texts::default(),
        rules: Vec::new(),
        open: Vec::new(),
        complaints: Complaints::default(),
    };
    for (line, logical) in lines::logical(text) {
        if let Err(complaint) = logical.and_then(|logical| parser.line(&logical, line)) {
            parser.complaints.add(line, complaint);
        }
        if parser.rules.len() > RULES_MAX {
            return Err(format!(
                "more than {RULES_MAX} patterns: put names into a hash table, addresses into a cidr table"
            ));
        }
    }
    while let Some((index, line)) = parser.open.pop() {
        parser.complaints.add(line, "\"if\" without \"endif\"");
        parser.close(index);
    }
    let rows = Rules { rules: parser.rules, literals: parser.texts.ready() };
    Ok(Parsed { rows, complaints: parser.complaints })
}

struct Parser {
    syntax: Syntax,
    memory: Memory,
    texts: Texts,
    rules: Vec<Rule>,
    /// The `if`s that wait for their `endif`: index of the rule, line.
    open: Vec<(usize, usize)>,
    complaints: Complaints,
}

/// A pattern as it stands in a row.
struct Spelt<'a> {
    text: &'a str,
    flags: Flags,
    found: bool,
}

impl Parser {
    fn line(&mut self, logical: &str, line: usize) -> Result<(), String> {
        if !logical.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return self.row(logical, line);
        }
        if let Some(rest) = keyword(logical, "if") {
            let (spelt, rest) = self.spelt(rest, line)?;
            if !rest.trim().is_empty() {
                self.complaints
                    .add(line, "the text after \"if\" and its pattern is ignored: begin rows without spaces");
            }
            let test = self.test(&spelt, 0)?;
            self.open.push((self.rules.len(), line));
            self.rules.push(Rule { line, test, then: Then::Else(1) });
            return Ok(());
        }
        if let Some(rest) = keyword(logical, "endif") {
            let (index, _) = self.open.pop().ok_or("\"endif\" without \"if\"")?;
            self.close(index);
            return if rest.trim().is_empty() { Ok(()) } else { Err("the text after \"endif\" is ignored".into()) };
        }
        Err("a row begins with a pattern, \"if\" or \"endif\": row ignored".into())
    }

    fn row(&mut self, logical: &str, line: usize) -> Result<(), String> {
        let (first, mut rest) = self.spelt(logical, line)?;
        let mut second = None;
        if self.syntax == Syntax::Regexp && rest.starts_with('!') {
            let (spelt, after) = self.spelt(rest, line)?;
            (second, rest) = (Some(spelt), after);
        }
        let value = rest.trim();
        if value.is_empty() {
            self.complaints
                .add(line, "no text after the pattern: who matches it is told to come back later (451 4.3.5)");
        }
        let replacement = Replacement::parse(value).map_err(ignored)?;
        let highest = replacement.highest();
        if highest > 0 && !first.found {
            return Err(ignored(format!("${highest} after a negated pattern, which has no groups")));
        }
        let test = self.test(&first, highest)?;
        let and = second.map(|spelt| self.test(&spelt, 0)).transpose()?;
        self.rules.push(Rule { line, test, then: Then::Answer { and, replacement } });
        Ok(())
    }

    /// A pattern with its negations and its flags, and what follows.
    fn spelt<'a>(&mut self, text: &'a str, line: usize) -> Result<(Spelt<'a>, &'a str), String> {
        let bare = lines::without_negations(text);
        let negations = text.bytes().take(text.len() - bare.len()).filter(|byte| *byte == b'!').count();
        let mut chars = bare.chars();
        let delimiter = chars.next().ok_or("no pattern: row ignored")?;
        let (pattern, rest) = delimited(chars.as_str(), delimiter)
            .ok_or_else(|| format!("no closing \"{delimiter}\" after the pattern: row ignored"))?;
        let ends = |c: char| c.is_ascii_whitespace() || c == '!' && self.syntax == Syntax::Regexp;
        let (letters, rest) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        let flags = self.flags(letters, line)?;
        Ok((Spelt { text: pattern, flags, found: negations.is_multiple_of(2) }, rest))
    }

    /// Each letter turns its setting around.
    fn flags(&mut self, letters: &str, line: usize) -> Result<Flags, String> {
        let mut flags = match self.syntax {
            Syntax::Regexp => Flags { ignore_case: true, extended: true, ..Flags::default() },
            Syntax::Pcre => Flags { ignore_case: true, dot_all: true, ..Flags::default() },
        };
        for letter in letters.chars() {
            let flag = match (letter, self.syntax) {
                ('i', _) => &mut flags.ignore_case,
                ('m', _) => &mut flags.multi_line,
                ('x', _) => &mut flags.extended,
                ('s', Syntax::Pcre) => &mut flags.dot_all,
                ('A', Syntax::Pcre) => &mut flags.anchored,
                ('U', Syntax::Pcre) => &mut flags.ungreedy,
                // Where "$" matches before a line feed at the end: no key has one.
                ('E', Syntax::Pcre) => continue,
                ('X', Syntax::Pcre) => {
                    self.complaints.add(line, "the flag X means nothing any more");
                    continue;
                }
                _ => return Err(format!("unknown flag \"{letter}\": row ignored")),
            };
            *flag = !*flag;
        }
        Ok(flags)
    }

    /// Compiles a pattern that must have at least `highest` groups.
    fn test(&mut self, spelt: &Spelt<'_>, highest: usize) -> Result<Test, String> {
        let parse = match self.syntax {
            Syntax::Regexp => regexp::parse,
            Syntax::Pcre => pcre::parse,
        };
        let expression = parse(spelt.text, spelt.flags).map_err(ignored)?;
        if highest > expression.groups {
            return Err(ignored(format!("${highest}, but the pattern has {} groups", expression.groups)));
        }
        let pattern = Pattern::new(&expression, highest > 0, &mut self.memory).map_err(ignored)?;
        let literal = self.texts.number(&expression.node);
        Ok(Test { literal, pattern, found: spelt.found })
    }

    fn close(&mut self, index: usize) {
        let length = self.rules.len();
        if let Some(rule) = self.rules.get_mut(index) {
            rule.then = Then::Else(length - index);
        }
    }
}

fn ignored(complaint: String) -> String {
    complaint + ": row ignored"
}

/// What stands before `delimiter`, and after it; a backslash hides the sign behind it.
fn delimited(text: &str, delimiter: char) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let plain = !escaped;
        escaped = plain && c == '\\';
        plain && c == delimiter && c != '\\'
    })?;
    let (pattern, rest) = text.split_at(end);
    Some((pattern, rest.strip_prefix(delimiter)?))
}

#[cfg(test)]
mod tests;
