//! Mistakes in a configuration, and where they stand in its file.

use std::ops::Range;

/// A mistake in the configuration, or something questionable in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands in the file; `None` where no single place is to blame.
    pub place: Option<Place>,
    /// What is wrong, and what was meant or is to be done.
    pub message: String,
}

/// A value of the file, or a part of the string that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    value: Range<usize>,
    part: Option<Range<usize>>,
}

impl Place {
    /// The value in this range of bytes; `None` for an empty range: what was not read from a file stands nowhere.
    pub(crate) fn of(value: Range<usize>) -> Option<Self> {
        (!value.is_empty()).then_some(Self { value, part: None })
    }

    /// The same value, but only this range of bytes of its string.
    pub(crate) fn part(self, part: Range<usize>) -> Self {
        Self { part: Some(part), ..self }
    }

    /// The range of bytes in `file`, the text that the value was read from. Where escapes make it hard to say what
    /// stands where, the whole value.
    #[must_use]
    pub fn within(&self, file: &str) -> Range<usize> {
        self.part_within(file).unwrap_or_else(|| self.value.clone())
    }

    fn part_within(&self, file: &str) -> Option<Range<usize>> {
        let part = self.part.as_ref()?;
        let raw = file.get(self.value.clone())?;
        // A line break after three quotes is no part of the string.
        let opening = ["\"\"\"\n", "'''\n", "\"\"\"", "'''", "\"", "'"].into_iter().find(|it| raw.starts_with(it))?;
        let until = raw.get(opening.len()..opening.len() + part.end)?;
        if until.contains('\r') || opening.starts_with('"') && until.contains('\\') {
            return None;
        }
        let start = self.value.start + opening.len();
        Some(start + part.start..start + part.end)
    }
}
