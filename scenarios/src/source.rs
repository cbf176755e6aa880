//! Files with places in them: what every diagnostic and every failure points at.

use std::ops::Deref;

/// A file that was read, kept for excerpts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is shown: relative to the corpus for built-in files, as given for others.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Source {
    /// Line and column of a byte, both counted from 1; the column in Unicode scalar values.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        (line, column)
    }

    /// The byte at a line and column, both counted from 1; the nearest there is where the place lies outside.
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let mut start = 0;
        for (number, text) in self.text.split_inclusive('\n').enumerate() {
            if number + 1 == line {
                let text = text.trim_end_matches(['\n', '\r']);
                let within = text
                    .char_indices()
                    .nth(column.saturating_sub(1))
                    .map_or(text.len(), |(at, _)| at);
                return start + within;
            }
            start += text.len();
        }
        start
    }
}
