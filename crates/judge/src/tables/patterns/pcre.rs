//! The syntax of pcre_table(5): Perl's regular expressions, on octets.

use regex_syntax::hir::{ClassBytes, Look};

use super::Flags;
use super::escapes::{self, Escape};
use super::syntax::{Cursor, Expression, NESTING_MAX, Node, Repeat, named_set, set_of};

/// The largest number in a quantifier.
const REPEAT_MAX: u32 = 65535;

/// Parses an expression.
pub(super) fn parse(text: &str, flags: Flags) -> Result<Expression, String> {
    // A name may be referred to before its group: the first time is for the names.
    let first = Parser::new(text, flags, None).whole()?.0;
    let (parser, node) = Parser::new(text, flags, Some(first.names)).whole()?;
    let node = if flags.anchored { Node::Concat(vec![Node::Look(Look::Start), node]) } else { node };
    Ok(Expression { node, groups: parser.groups })
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    flags: Flags,
    groups: usize,
    names: Vec<(&'a str, usize)>,
    /// The names of all groups, once they are known.
    known: Option<Vec<(&'a str, usize)>>,
    /// The highest number of a group that is referred to.
    highest: usize,
    depth: usize,
    /// Between `\Q` and `\E`.
    quoted: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, flags: Flags, known: Option<Vec<(&'a str, usize)>>) -> Self {
        let cursor = Cursor::new(text);
        Self { cursor, flags, groups: 0, names: Vec::new(), known, highest: 0, depth: 0, quoted: false }
    }

    fn whole(mut self) -> Result<(Self, Node), String> {
        let node = self.alternation()?;
        if self.cursor.peek().is_some() {
            return Err("unmatched closing parenthesis".into());
        }
        if self.highest > self.groups {
            return Err(format!("there is no group {}", self.highest));
        }
        Ok((self, node))
    }

    fn alternation(&mut self) -> Result<Node, String> {
        let mut branches = vec![self.branch()?];
        while self.cursor.take("|") {
            branches.push(self.branch()?);
        }
        Ok(Node::alternation(branches))
    }

    fn branch(&mut self) -> Result<Node, String> {
        let mut parts = Vec::new();
        loop {
            self.pass_over();
            match self.cursor.peek() {
                None => break,
                Some(b'|' | b')') if !self.quoted => break,
                // Settings and comments are no parts that could be repeated.
                Some(_) => match self.part()? {
                    Some(part) => parts.push(self.repeated(part)?),
                    None => continue,
                },
            }
        }
        Ok(Node::concat(parts))
    }

    /// Quotes that begin and end, and what does not count in an extended expression.
    fn pass_over(&mut self) {
        loop {
            let turned = self.cursor.take(if self.quoted { "\\E" } else { "\\Q" });
            self.quoted ^= turned;
            let blank = !self.quoted && self.flags.extended && self.pass_over_blanks();
            if !turned && !blank && (self.quoted || !self.cursor.take("\\E")) {
                return;
            }
        }
    }

    fn pass_over_blanks(&mut self) -> bool {
        let blanks = self.cursor.run(usize::MAX, |octet| octet.is_ascii_whitespace() || octet == 0x0b);
        // A row has no line feed that could end a comment.
        let comment = self.cursor.peek() == Some(b'#');
        while comment && self.cursor.next().is_some() {}
        comment || !blanks.is_empty()
    }

    fn part(&mut self) -> Result<Option<Node>, String> {
        let Flags { ignore_case, multi_line, dot_all, .. } = self.flags;
        if !self.quoted && quantifier(&mut self.cursor.clone())?.is_some() {
            return Err("a quantifier does not follow a repeatable item".into());
        }
        let Some(octet) = self.cursor.next() else { return Ok(None) };
        Ok(Some(match octet {
            _ if self.quoted => Node::octet(octet, ignore_case),
            b'(' => return self.parenthesis(),
            b'[' => Node::Set(self.class()?),
            b'.' => Node::dot(dot_all),
            b'^' => Node::Look(if multi_line { Look::StartLF } else { Look::Start }),
            // A key has no line feed at its end, before which "$" matches too.
            b'$' => Node::Look(if multi_line { Look::EndLF } else { Look::End }),
            b'\\' => self.escape()?,
            octet => Node::octet(octet, ignore_case),
        }))
    }

    fn escape(&mut self) -> Result<Node, String> {
        Ok(match escapes::read(&mut self.cursor, self.groups, false)? {
            Escape::Octet(octet) => Node::octet(octet, self.flags.ignore_case),
            Escape::Set(set) => Node::Set(set),
            Escape::Look(look) => Node::Look(look),
            Escape::Nothing => Node::Empty,
            Escape::LineEnd => Node::Alternation(vec![
                Node::Concat(vec![Node::octet(b'\r', false), Node::octet(b'\n', false)]),
                Node::set([(b'\n', b'\r'), (0x85, 0x85)], false),
            ]),
            Escape::Group(group) => self.reference(group),
            Escape::Name(name) => {
                let group = self.named(name)?;
                self.reference(group)
            }
        })
    }

    fn named(&self, name: &str) -> Result<usize, String> {
        let Some(known) = &self.known else { return Ok(0) };
        let group = known.iter().find(|(known, _)| *known == name);
        group.map(|(_, group)| *group).ok_or_else(|| format!("there is no group {name}"))
    }

    fn reference(&mut self, group: usize) -> Node {
        self.highest = self.highest.max(group);
        Node::Reference { group, ignore_case: self.flags.ignore_case }
    }

    /// What follows a `(`; nothing for a comment or for settings that hold from here on.
    fn parenthesis(&mut self) -> Result<Option<Node>, String> {
        const UNCLOSED: &str = "missing closing parenthesis";
        if self.cursor.take("?#") {
            return self.cursor.until(")").map(|_| None).ok_or_else(|| "missing ) after (?# comment".into());
        }
        if self.cursor.take("?P=") {
            let name = self.cursor.until(")").ok_or(UNCLOSED)?;
            let group = self.named(name)?;
            return Ok(Some(self.reference(group)));
        }
        let outside = self.flags;
        let kind = self.group_kind()?;
        if let Kind::Settings = kind {
            return Ok(None);
        }
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} groups within one another"));
        }
        let node = self.alternation()?;
        if !self.cursor.take(")") {
            return Err(UNCLOSED.into());
        }
        self.depth -= 1;
        self.flags = outside;
        let boxed = Box::new(node);
        Ok(Some(match kind {
            Kind::Plain | Kind::Settings => *boxed,
            Kind::Numbered(group) => Node::Group(group, boxed),
            Kind::Atomic => Node::Atomic(boxed),
            Kind::Around { behind: true, .. } if !has_fixed_width(&boxed) => {
                return Err("lookbehind assertion is not fixed length".into());
            }
            Kind::Around { behind, negated } => Node::Around { node: boxed, behind, negated },
        }))
    }

    fn group_kind(&mut self) -> Result<Kind, String> {
        if self.cursor.peek() == Some(b'*') {
            return Err("verbs, (*…), are not carried in this version".into());
        }
        if !self.cursor.take("?") {
            return self.numbered(None);
        }
        for (sign, kind) in [
            (":", Kind::Plain),
            (">", Kind::Atomic),
            ("=", Kind::Around { behind: false, negated: false }),
            ("!", Kind::Around { behind: false, negated: true }),
            ("<=", Kind::Around { behind: true, negated: false }),
            ("<!", Kind::Around { behind: true, negated: true }),
        ] {
            if self.cursor.take(sign) {
                return Ok(kind);
            }
        }
        for (open, close) in [("P<", ">"), ("<", ">"), ("'", "'")] {
            if self.cursor.take(open) {
                let name = self.cursor.until(close).filter(|name| is_name(name));
                return self.numbered(Some(name.ok_or("a group's name is missing or not one")?));
            }
        }
        self.settings()
    }

    fn numbered(&mut self, name: Option<&'a str>) -> Result<Kind, String> {
        self.groups += 1;
        if let Some(name) = name {
            if self.names.iter().any(|(known, _)| *known == name) {
                return Err(format!("two groups have the name {name}"));
            }
            self.names.push((name, self.groups));
        }
        Ok(Kind::Numbered(self.groups))
    }

    /// `(?i)`, `(?i-s)`, `(?i:…)`, `(?^)`
    fn settings(&mut self) -> Result<Kind, String> {
        let mut on = true;
        let start = self.cursor.rest();
        while let Some(octet) = self.cursor.next() {
            match octet {
                b'^' => self.flags = Flags { anchored: self.flags.anchored, ..Flags::default() },
                b'-' => on = false,
                b'i' => self.flags.ignore_case = on,
                b'm' => self.flags.multi_line = on,
                b's' => self.flags.dot_all = on,
                b'x' => self.flags.extended = on,
                b'U' => self.flags.ungreedy = on,
                b')' => return Ok(Kind::Settings),
                b':' => return Ok(Kind::Plain),
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(start.get(..2.min(start.len())).unwrap_or_default()).into_owned();
        Err(format!("(?{text}…: this kind of group is not carried in this version"))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        self.pass_over();
        if self.quoted {
            return Ok(node);
        }
        let Some((min, max)) = quantifier(&mut self.cursor)? else { return Ok(node) };
        let possessive = self.cursor.take("+");
        let lazy = !possessive && self.cursor.take("?");
        let repeat = Repeat { node: Box::new(node), min, max, greedy: possessive || lazy == self.flags.ungreedy };
        let node = Node::Repeat(repeat);
        Ok(if possessive { Node::Atomic(Box::new(node)) } else { node })
    }

    /// What follows a `[`.
    fn class(&mut self) -> Result<ClassBytes, String> {
        const UNCLOSED: &str = "missing terminating ] for character class";
        const RANGE: &str = "invalid range in character class";
        let negated = self.cursor.take("^");
        let mut set = ClassBytes::empty();
        let mut first = true;
        // A bracket that comes first stands for itself.
        while first || !self.cursor.take("]") {
            first = false;
            let item = self.class_item()?.ok_or(UNCLOSED)?;
            let is_range = matches!(self.cursor.rest(), [b'-', next, ..] if *next != b']') && self.cursor.take("-");
            let range = match item {
                Item::Octet(from) if is_range => match self.class_item()?.ok_or(UNCLOSED)? {
                    Item::Octet(to) if from <= to => set_of([(from, to)]),
                    _ => return Err(RANGE.into()),
                },
                Item::Set(_) if is_range => return Err(RANGE.into()),
                Item::Octet(octet) => set_of([(octet, octet)]),
                Item::Set(set) => set,
            };
            set.union(&range);
        }
        if self.flags.ignore_case {
            set.case_fold_simple();
        }
        if negated {
            set.negate();
        }
        Ok(set)
    }

    fn class_item(&mut self) -> Result<Option<Item>, String> {
        if self.cursor.take("[:") {
            let name = self.cursor.until(":]").ok_or("missing :] after [:")?;
            let bare = name.strip_prefix('^');
            let mut set = named_set(bare.unwrap_or(name)).ok_or_else(|| format!("there is no class [:{name}:]"))?;
            if self.flags.ignore_case {
                set.case_fold_simple();
            }
            if bare.is_some() {
                set.negate();
            }
            return Ok(Some(Item::Set(set)));
        }
        if self.cursor.rest().starts_with(b"[.") || self.cursor.rest().starts_with(b"[=") {
            return Err("collating elements are not supported".into());
        }
        if !self.cursor.take("\\") {
            return Ok(self.cursor.next().map(Item::Octet));
        }
        match escapes::read(&mut self.cursor, 0, true)? {
            Escape::Octet(octet) => Ok(Some(Item::Octet(octet))),
            Escape::Set(set) => Ok(Some(Item::Set(set))),
            _ => Err("an escape sequence is invalid in a character class".into()),
        }
    }
}

enum Kind {
    Plain,
    Numbered(usize),
    Atomic,
    Around {
        behind: bool,
        negated: bool,
    },
    /// Not a group at all: settings from here to the end of the group around.
    Settings,
}

/// A part of a character class.
enum Item {
    Octet(u8),
    Set(ClassBytes),
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// PCRE looks back over branches of different, but fixed lengths.
fn has_fixed_width(node: &Node) -> bool {
    match node {
        Node::Alternation(branches) => branches.iter().all(|branch| branch.width().is_some()),
        node => node.width().is_some(),
    }
}

/// A quantifier, if one comes next: a brace that begins none stands for itself.
fn quantifier(cursor: &mut Cursor<'_>) -> Result<Option<(u32, Option<u32>)>, String> {
    for (sign, min, max) in [("*", 0, None), ("+", 1, None), ("?", 0, Some(1))] {
        if cursor.take(sign) {
            return Ok(Some((min, max)));
        }
    }
    let mut ahead = cursor.clone();
    let is_number = |octet: u8| octet.is_ascii_digit();
    if !ahead.take("{") || ahead.run(usize::MAX, is_number).is_empty() {
        return Ok(None);
    }
    if ahead.take(",") {
        ahead.run(usize::MAX, is_number);
    }
    if !ahead.take("}") {
        return Ok(None);
    }
    cursor.take("{");
    let min = cursor.number(REPEAT_MAX)?.unwrap_or(0);
    let max = if cursor.take(",") { cursor.number(REPEAT_MAX)? } else { Some(min) };
    cursor.take("}");
    if max.is_some_and(|max| max < min) {
        return Err("numbers out of order in {} quantifier".into());
    }
    Ok(Some((min, max)))
}
