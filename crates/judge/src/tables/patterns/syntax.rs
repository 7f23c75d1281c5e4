//! A regular expression, parsed: what the two syntaxes, regexp_table(5) and pcre_table(5), have in common.

use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, Look, Repetition};

/// The deepest nesting of groups, so that whoever walks a tree never runs out of stack.
pub(super) const NESTING_MAX: usize = 100;

/// A part of an expression. Everything is octets: Postfix sets neither a locale nor PCRE2_UTF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Matches where it stands.
    Empty,
    /// One octet of a set.
    Set(ClassBytes),
    Look(Look),
    Concat(Vec<Self>),
    /// The first that matches is preferred.
    Alternation(Vec<Self>),
    Repeat(Repeat),
    /// A group with a number, from 1.
    Group(usize, Box<Self>),
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`
    Around {
        node: Box<Self>,
        behind: bool,
        negated: bool,
    },
    /// `(?>…)`: what it matched once, it keeps.
    Atomic(Box<Self>),
    /// What a group matched, once more.
    Reference {
        group: usize,
        ignore_case: bool,
    },
}

/// A part as many times as from `min` to `max`, if there is an end to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub node: Box<Node>,
    pub min: u32,
    pub max: Option<u32>,
    pub greedy: bool,
}

/// An expression and how many groups it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub node: Node,
    pub groups: usize,
}

impl Node {
    /// An octet that stands for itself.
    pub(super) fn octet(octet: u8, ignore_case: bool) -> Self {
        Self::set([(octet, octet)], ignore_case)
    }

    /// One octet of these ranges.
    pub(super) fn set(ranges: impl IntoIterator<Item = (u8, u8)>, ignore_case: bool) -> Self {
        let mut set = set_of(ranges);
        if ignore_case {
            set.case_fold_simple();
        }
        Self::Set(set)
    }

    /// Any octet, or any but the line feed.
    pub(super) fn dot(line_feed_too: bool) -> Self {
        if line_feed_too { Self::set([(0, 255)], false) } else { Self::set([(0, 9), (11, 255)], false) }
    }

    /// Without a level that holds one part only.
    pub(super) fn concat(mut parts: Vec<Self>) -> Self {
        match parts.len() {
            0 => Self::Empty,
            1 => parts.remove(0),
            _ => Self::Concat(parts),
        }
    }

    /// Without a level that holds one branch only.
    pub(super) fn alternation(mut branches: Vec<Self>) -> Self {
        if branches.len() == 1 { branches.remove(0) } else { Self::Alternation(branches) }
    }

    /// The expression as automata take it; `None` if it looks around, refers back, or never gives back.
    pub(super) fn to_hir(&self) -> Option<Hir> {
        let all = |nodes: &[Self]| nodes.iter().map(Self::to_hir).collect::<Option<Vec<_>>>();
        Some(match self {
            Self::Empty => Hir::empty(),
            Self::Set(set) => Hir::class(Class::Bytes(set.clone())),
            Self::Look(look) => Hir::look(*look),
            Self::Concat(parts) => Hir::concat(all(parts)?),
            Self::Alternation(branches) => Hir::alternation(all(branches)?),
            Self::Repeat(Repeat { node, min, max, greedy }) => {
                let sub = Box::new(node.to_hir()?);
                Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub })
            }
            Self::Group(number, node) => {
                let index = u32::try_from(*number).ok()?;
                Hir::capture(Capture { index, name: None, sub: Box::new(node.to_hir()?) })
            }
            Self::Around { .. } | Self::Atomic(_) | Self::Reference { .. } => return None,
        })
    }

    /// How many octets it matches, if always as many.
    pub(super) fn width(&self) -> Option<usize> {
        match self {
            Self::Empty | Self::Look(_) | Self::Around { .. } => Some(0),
            Self::Set(_) => Some(1),
            Self::Concat(parts) => {
                parts.iter().try_fold(0_usize, |sum, part| part.width().and_then(|width| sum.checked_add(width)))
            }
            Self::Alternation(branches) => {
                let first = branches.first()?.width()?;
                branches.iter().all(|branch| branch.width() == Some(first)).then_some(first)
            }
            Self::Repeat(Repeat { node, min, max, .. }) if *max == Some(*min) => {
                node.width()?.checked_mul(usize::try_from(*min).ok()?)
            }
            Self::Group(_, node) | Self::Atomic(node) => node.width(),
            Self::Repeat(_) | Self::Reference { .. } => None,
        }
    }
}

/// The octets of these ranges.
pub(super) fn set_of(ranges: impl IntoIterator<Item = (u8, u8)>) -> ClassBytes {
    ClassBytes::new(ranges.into_iter().map(|(first, last)| ClassBytesRange::new(first, last)))
}

/// The octets of a POSIX class: `alpha`, `digit`, …
pub(super) fn named_set(name: &str) -> Option<ClassBytes> {
    let ranges: &[(u8, u8)] = match name {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0, 127)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0, 31), (127, 127)],
        "digit" => &[(b'0', b'9')],
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    };
    Some(set_of(ranges.iter().copied()))
}

/// Every octet that is not in `set`.
pub(super) fn all_but(mut set: ClassBytes) -> ClassBytes {
    set.negate();
    set
}

/// The octets of an expression that are left to read.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Whether `text` comes next; if so, it is taken.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text.as_bytes());
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes what comes before `end`, and `end`; `None` if it does not come.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let at = memchr::memmem::find(self.rest, end.as_bytes())?;
        let (before, rest) = self.rest.split_at_checked(at)?;
        self.rest = rest.strip_prefix(end.as_bytes())?;
        std::str::from_utf8(before).ok()
    }

    /// Takes octets for which `fits` holds, `most` at the most.
    pub(super) fn run(&mut self, most: usize, fits: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest.iter().take(most).take_while(|octet| octet.is_ascii() && fits(**octet)).count();
        let (run, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        // Every octet of it is ASCII.
        std::str::from_utf8(run).unwrap_or_default()
    }

    /// A decimal number, `limit` at the most; `Ok(None)` if there is none.
    pub(super) fn number(&mut self, limit: u32) -> Result<Option<u32>, String> {
        let digits = self.run(usize::MAX, |octet| octet.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        let number = digits.parse().ok().filter(|number| *number <= limit);
        number.map(Some).ok_or_else(|| format!("{digits} is larger than {limit}"))
    }
}
