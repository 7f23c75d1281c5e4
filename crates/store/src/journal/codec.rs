//! Values as octets, and back: numbers in as few octets as they need, texts with their length, and texts that come again
//! and again by their number in the block.
//!
//! One definition serves both directions. What is read may be anything: it is a value, or nothing.

mod values;

use std::cell::OnceCell;

use facts::{Finding, kept};
use rustc_hash::FxHashMap;

use super::outline::{Line, Outlines};

/// A value that can be written and read.
pub(crate) trait Field: Sized {
    fn write(&self, out: &mut Out);
    fn read(from: &mut In<'_>) -> Option<Self>;
}

/// What is written, with the terms that it names by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub octets: Vec<u8>,
    /// The terms as they are written, one after the other.
    terms: Vec<u8>,
    count: u32,
    numbers: FxHashMap<Box<str>, u32>,
    /// The same by place and length, for texts of which there is one copy: those need not be looked at.
    places: FxHashMap<(usize, usize), u32>,
    outlines: Outlines,
    /// The outlines as they are written, one after the other.
    outlined: Vec<u8>,
}

impl Out {
    pub(crate) fn number(&mut self, number: u64) {
        push_number(&mut self.octets, number);
    }

    pub(crate) fn text(&mut self, text: &str) {
        push_text(&mut self.octets, text);
    }

    /// A text that is likely to come again in this block.
    pub(crate) fn term(&mut self, text: &str) {
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                let number = self.new_term(text);
                self.numbers.insert(text.into(), number);
                number
            }
        };
        self.number(number.into());
    }

    /// A text that is [`kept`]: the same text is at the same place.
    pub(crate) fn kept_term(&mut self, text: &'static str) {
        let place = (text.as_ptr() as usize, text.len());
        let number = match self.places.get(&place) {
            Some(number) => *number,
            None => {
                let number = self.new_term(text);
                self.places.insert(place, number);
                number
            }
        };
        self.number(number.into());
    }

    fn new_term(&mut self, text: &str) -> u32 {
        push_text(&mut self.terms, text);
        self.count += 1;
        self.count - 1
    }

    /// The outline of these findings, by its number.
    pub(crate) fn outline(&mut self, findings: &[Finding]) {
        let (number, is_new) = self.outlines.number(findings);
        if is_new {
            std::mem::swap(&mut self.octets, &mut self.outlined);
            self.number(findings.len() as u64);
            findings.iter().for_each(|finding| Line::of(finding).write(self));
            std::mem::swap(&mut self.octets, &mut self.outlined);
        }
        self.number(number.into());
    }

    /// A record: what `write` writes, with its length before it. Whether it is no longer than `length_max`; else it is
    /// taken back.
    pub(crate) fn record(&mut self, length_max: usize, write: impl FnOnce(&mut Self)) -> bool {
        let start = self.octets.len();
        self.octets.extend_from_slice(&[0; 4]);
        write(self);
        let length = self.octets.len() - start - 4;
        if length > length_max {
            self.octets.truncate(start);
            return false;
        }
        if let Some(place) = self.octets.get_mut(start..start + 4) {
            place.copy_from_slice(&(length as u32).to_le_bytes());
        }
        true
    }

    /// Forgets what was written, but keeps the memory that it took.
    pub(crate) fn clear(&mut self) {
        let Self { octets, terms, count, numbers, places, outlines, outlined } = self;
        [octets, terms, outlined].into_iter().for_each(Vec::clear);
        *count = 0;
        numbers.clear();
        places.clear();
        outlines.clear();
    }

    /// How many octets were written.
    pub(crate) fn len(&self) -> usize {
        self.terms.len() + self.outlined.len() + self.octets.len()
    }

    /// Appends what was written to `octets`, its terms and outlines before it.
    pub(crate) fn append_to(&self, octets: &mut Vec<u8>) {
        push_number(octets, self.count.into());
        octets.extend_from_slice(&self.terms);
        push_number(octets, self.outlines.count());
        octets.extend_from_slice(&self.outlined);
        octets.extend_from_slice(&self.octets);
    }
}

fn push_number(octets: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

fn push_text(octets: &mut Vec<u8>, text: &str) {
    push_number(octets, text.len() as u64);
    octets.extend_from_slice(text.as_bytes());
}

/// A term as it was read, and the copy of it that stays, once somebody wants that.
#[derive(Debug)]
pub(crate) struct Term<'a> {
    text: &'a str,
    kept: OnceCell<&'static str>,
}

/// What is still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct In<'a> {
    pub rest: &'a [u8],
    terms: &'a [Term<'a>],
    outlines: &'a [Vec<Line>],
}

impl<'a> In<'a> {
    /// The terms of a block, and what follows them.
    pub(crate) fn terms_of(block: &'a [u8]) -> Option<(Vec<Term<'a>>, &'a [u8])> {
        let mut from = Self::new(block);
        let count = from.number()?;
        let mut terms = Vec::new();
        for _ in 0..count {
            terms.push(Term { text: from.text()?, kept: OnceCell::new() });
        }
        Some((terms, from.rest))
    }

    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest, terms: &[], outlines: &[] }
    }

    /// The same octets, with these terms and outlines.
    pub(crate) fn with(self, terms: &'a [Term<'a>], outlines: &'a [Vec<Line>]) -> Self {
        Self { terms, outlines, ..self }
    }

    pub(crate) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(octets)
    }

    pub(crate) fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.octets(COUNT)?.try_into().ok()
    }

    /// A record, to be read by itself.
    pub(crate) fn record(&mut self) -> Option<Self> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        Some(Self { rest: self.octets(length)?, ..*self })
    }

    pub(crate) fn octet(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7F) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.octets(length)?).ok()
    }

    pub(crate) fn term(&mut self) -> Option<&'a str> {
        self.next_term().map(|term| term.text)
    }

    pub(crate) fn kept_term(&mut self) -> Option<&'static str> {
        self.next_term().map(|term| *term.kept.get_or_init(|| kept(term.text)))
    }

    /// The lines of the outline that comes next, by its number.
    pub(crate) fn outline(&mut self) -> Option<&'a [Line]> {
        let number = usize::try_from(self.number()?).ok()?;
        self.outlines.get(number).map(Vec::as_slice)
    }

    fn next_term(&mut self) -> Option<&'a Term<'a>> {
        let number = usize::try_from(self.number()?).ok()?;
        self.terms.get(number)
    }
}

/// An enum by the code of each variant. Codes stay for good: a row of last month must be read.
macro_rules! choices {
    ($($type:ident { $($code:literal => $variant:ident $(($($part:ident),*))? $({$($field:ident),*})?),* $(,)? })*) => {$(
        impl Field for $type {
            fn write(&self, out: &mut Out) {
                match self {$(
                    Self::$variant $(($($part),*))? $({$($field),*})? => {
                        out.octets.push($code);
                        $($($part.write(out);)*)?
                        $($($field.write(out);)*)?
                    }
                )*}
            }

            fn read(from: &mut In<'_>) -> Option<Self> {
                Some(match from.octet()? {
                    $($code => {
                        $($(let $part = Field::read(from)?;)*)?
                        $($(let $field = Field::read(from)?;)*)?
                        Self::$variant $(($($part),*))? $({$($field),*})?
                    })*
                    _ => return None,
                })
            }
        }
    )*};
}

/// A struct by its fields, one after the other.
macro_rules! fields {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Field for $type {
            fn write(&self, out: &mut Out) {
                $(self.$field.write(out);)*
            }

            fn read(from: &mut In<'_>) -> Option<Self> {
                $(let $field = Field::read(from)?;)*
                Some(Self { $($field),* })
            }
        }
    )*};
}

pub(crate) use {choices, fields};
