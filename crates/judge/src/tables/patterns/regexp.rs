//! The syntax of regexp_table(5): POSIX regular expressions as glibc reads them, extended ones unless a flag says
//! otherwise.

use regex_syntax::hir::{ClassBytes, Look};

use super::Flags;
use super::syntax::{Cursor, Expression, NESTING_MAX, Node, Repeat, all_but, named_set, set_of};

/// The largest number in an interval (RE_DUP_MAX).
const REPEAT_MAX: u32 = 32767;
/// How many operators may follow one another: `a**` is allowed, and nonsense.
const REPEATS_MAX: usize = 10;

/// Parses an expression. `$1` of a table means the group that the leftmost-first rule finds, not POSIX's longest.
pub(super) fn parse(text: &str, flags: Flags) -> Result<Expression, String> {
    let mut parser = Parser { cursor: Cursor::new(text), flags, groups: 0, closed: Vec::new(), depth: 0 };
    let node = parser.alternation()?;
    match parser.cursor.peek() {
        None => Ok(Expression { node, groups: parser.groups }),
        Some(_) => Err("unmatched ) or \\)".into()),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    flags: Flags,
    groups: usize,
    /// Groups that have ended: only those can be referred to.
    closed: Vec<usize>,
    depth: usize,
}

/// What comes next, spelt alike in basic and in extended expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Octet(u8),
    Escaped(u8),
    Dot,
    Bracket,
    Open,
    Close,
    Or,
    Star,
    Plus,
    Question,
    Interval,
    Start,
    End,
}

impl Parser<'_> {
    fn alternation(&mut self) -> Result<Node, String> {
        let before = self.closed.clone();
        let mut closed = Vec::new();
        let mut branches = vec![self.branch()?];
        while self.take_if(Token::Or)? {
            // A branch cannot refer to a group of another one.
            closed.append(&mut std::mem::replace(&mut self.closed, before.clone()));
            branches.push(self.branch()?);
        }
        self.closed.append(&mut closed);
        Ok(Node::alternation(branches))
    }

    fn branch(&mut self) -> Result<Node, String> {
        let mut parts = Vec::new();
        loop {
            let mut ahead = self.cursor.clone();
            let first = matches!(parts.last(), None | Some(Node::Look(_)));
            let Some(token) = self.token(&mut ahead, parts.is_empty(), first)? else { break };
            match token {
                Token::Or => break,
                // RE_UNMATCHED_RIGHT_PAREN_ORD holds for extended expressions.
                Token::Close if self.depth > 0 || !self.flags.extended => break,
                _ => self.cursor = ahead,
            }
            let atom = self.atom(token)?;
            let is_anchor = matches!(atom, Node::Look(_));
            parts.push(if is_anchor { atom } else { self.repeated(atom)? });
        }
        Ok(Node::concat(parts))
    }

    /// The token at `cursor`, which is moved behind it. In a basic expression `^` is an anchor only where a branch
    /// begins, and operators stand for themselves where there is nothing yet to repeat.
    fn token(&self, cursor: &mut Cursor<'_>, begins: bool, first: bool) -> Result<Option<Token>, String> {
        let extended = self.flags.extended;
        let Some(octet) = cursor.next() else { return Ok(None) };
        let token = match octet {
            b'\\' => match escaped(cursor, extended)? {
                Token::Plus if !extended && first => Token::Octet(b'+'),
                Token::Question if !extended && first => Token::Octet(b'?'),
                token => token,
            },
            b'.' => Token::Dot,
            b'[' => Token::Bracket,
            b'*' if extended || !first => Token::Star,
            b'^' if extended || begins => Token::Start,
            b'$' if extended || ends_basic_branch(cursor.rest()) => Token::End,
            b'(' if extended => Token::Open,
            b')' if extended => Token::Close,
            b'|' if extended => Token::Or,
            b'+' if extended => Token::Plus,
            b'?' if extended => Token::Question,
            b'{' if extended => Token::Interval,
            octet => Token::Octet(octet),
        };
        Ok(Some(token))
    }

    fn take_if(&mut self, wanted: Token) -> Result<bool, String> {
        let mut ahead = self.cursor.clone();
        let found = self.token(&mut ahead, false, false)? == Some(wanted);
        if found {
            self.cursor = ahead;
        }
        Ok(found)
    }

    fn atom(&mut self, token: Token) -> Result<Node, String> {
        let ignore_case = self.flags.ignore_case;
        Ok(match token {
            Token::Octet(octet) => Node::octet(octet, ignore_case),
            Token::Close => Node::octet(b')', ignore_case),
            Token::Dot => Node::dot(!self.flags.multi_line),
            Token::Bracket => Node::Set(self.bracket()?),
            Token::Start => Node::Look(if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            Token::End => Node::Look(if self.flags.multi_line { Look::EndLF } else { Look::End }),
            Token::Escaped(octet) => self.escape(octet)?,
            Token::Open => self.group()?,
            Token::Star | Token::Plus | Token::Question | Token::Interval => {
                return Err("there is nothing before it that could be repeated".into());
            }
            Token::Or => Node::Empty,
        })
    }

    fn group(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} groups within one another"));
        }
        self.groups += 1;
        let number = self.groups;
        let node = self.alternation()?;
        if !self.take_if(Token::Close)? {
            return Err("unmatched ( or \\(".into());
        }
        self.depth -= 1;
        self.closed.push(number);
        Ok(Node::Group(number, Box::new(node)))
    }

    fn escape(&self, octet: u8) -> Result<Node, String> {
        let word = || named_set("word").unwrap_or_else(ClassBytes::empty);
        let space = || named_set("space").unwrap_or_else(ClassBytes::empty);
        Ok(match octet {
            b'w' => Node::Set(word()),
            b'W' => Node::Set(all_but(word())),
            b's' => Node::Set(space()),
            b'S' => Node::Set(all_but(space())),
            b'b' => Node::Look(Look::WordAscii),
            b'B' => Node::Look(Look::WordAsciiNegate),
            b'<' => Node::Look(Look::WordStartAscii),
            b'>' => Node::Look(Look::WordEndAscii),
            b'`' => Node::Look(Look::Start),
            b'\'' => Node::Look(Look::End),
            b'1'..=b'9' => {
                let group = usize::from(octet - b'0');
                if !self.closed.contains(&group) {
                    return Err(format!("\\{group} refers to no group before it"));
                }
                Node::Reference { group, ignore_case: self.flags.ignore_case }
            }
            octet => Node::octet(octet, self.flags.ignore_case),
        })
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, String> {
        let mut times = 0;
        loop {
            let mut ahead = self.cursor.clone();
            let token = self.token(&mut ahead, false, false)?;
            // glibc takes no such pair in a basic expression.
            if times > 0 && !self.flags.extended && matches!(token, Some(Token::Star | Token::Interval)) {
                return Err("a repetition of a repetition".into());
            }
            let (min, max) = match token {
                Some(Token::Star) => (0, None),
                Some(Token::Plus) => (1, None),
                Some(Token::Question) => (0, Some(1)),
                Some(Token::Interval) => interval(&mut ahead, self.flags.extended)?,
                _ => return Ok(node),
            };
            self.cursor = ahead;
            times += 1;
            if times > REPEATS_MAX {
                return Err(format!("more than {REPEATS_MAX} repetitions of one another"));
            }
            node = Node::Repeat(Repeat { node: Box::new(node), min, max, greedy: true });
        }
    }

    /// What follows a `[`: a backslash stands for itself, `]` too where it comes first.
    fn bracket(&mut self) -> Result<ClassBytes, String> {
        const UNMATCHED: &str = "unmatched [, [^, [:, [. or [=";
        let negated = self.cursor.take("^");
        let mut set = ClassBytes::empty();
        let mut first = true;
        while first || !self.cursor.take("]") {
            first = false;
            if self.cursor.take("[:") {
                let name = self.cursor.until(":]").ok_or(UNMATCHED)?;
                let named = named_set(name).filter(|_| !matches!(name, "word" | "ascii"));
                set.union(&named.ok_or_else(|| format!("there is no class [:{name}:]"))?);
                continue;
            }
            let from = self.bracket_octet()?.ok_or(UNMATCHED)?;
            let is_range = matches!(self.cursor.rest(), [b'-', next, ..] if *next != b']');
            let to = if is_range && self.cursor.take("-") { self.bracket_octet()?.ok_or(UNMATCHED)? } else { from };
            if to < from {
                return Err("a range ends before it begins".into());
            }
            set.union(&set_of([(from, to)]));
        }
        if self.flags.ignore_case {
            set.case_fold_simple();
        }
        if negated {
            set.negate();
            if self.flags.multi_line {
                set.difference(&set_of([(b'\n', b'\n')]));
            }
        }
        Ok(set)
    }

    /// An octet inside of brackets, `[.x.]` and `[=x=]` included.
    fn bracket_octet(&mut self) -> Result<Option<u8>, String> {
        for (open, close) in [("[.", ".]"), ("[=", "=]")] {
            if self.cursor.take(open) {
                let name = self.cursor.until(close).unwrap_or_default();
                return match name.as_bytes() {
                    [octet] => Ok(Some(*octet)),
                    _ => Err(format!("{open}{name}{close} is not one sign")),
                };
            }
        }
        Ok(self.cursor.next())
    }
}

/// What a backslash and the sign after it stand for: the two kinds of expressions spell their operators inversely.
fn escaped(cursor: &mut Cursor<'_>, extended: bool) -> Result<Token, String> {
    let octet = cursor.next().ok_or("a backslash at the end")?;
    Ok(match octet {
        b'(' if !extended => Token::Open,
        b')' if !extended => Token::Close,
        b'|' if !extended => Token::Or,
        b'+' if !extended => Token::Plus,
        b'?' if !extended => Token::Question,
        b'{' if !extended => Token::Interval,
        octet => Token::Escaped(octet),
    })
}

fn ends_basic_branch(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"\\)") || rest.starts_with(b"\\|")
}

/// What follows the `{` of an interval.
fn interval(cursor: &mut Cursor<'_>, extended: bool) -> Result<(u32, Option<u32>), String> {
    let min = cursor.number(REPEAT_MAX)?;
    let max = if cursor.take(",") { cursor.number(REPEAT_MAX)? } else { Some(min.ok_or("an interval is empty")?) };
    if !cursor.take(if extended { "}" } else { "\\}" }) {
        return Err("an interval is not of the form {1,2}".into());
    }
    let min = min.unwrap_or(0);
    if max.is_some_and(|max| max < min) {
        return Err("an interval ends before it begins".into());
    }
    Ok((min, max))
}
