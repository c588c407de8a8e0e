//! A place in a text that somebody wrote.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Bytes of a text, with the text itself, so that an error can show the line.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    file: PathBuf,
    text: Arc<str>,
    range: Range<usize>,
}

impl Span {
    /// `range` is in bytes of `text`; it is cut to what there is.
    pub fn new(file: impl Into<PathBuf>, text: impl Into<Arc<str>>, range: Range<usize>) -> Self {
        let text = text.into();
        let end = range.end.min(text.len());
        let start = range.start.min(end);
        Self { file: file.into(), text, range: start..end }
    }

    /// A whole line, counted from 1, without its end.
    pub fn line_of(file: impl Into<PathBuf>, text: impl Into<Arc<str>>, line: usize) -> Self {
        let text = text.into();
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let length = text[start..].lines().next().map_or(0, str::len);
        Self::new(file, text, start..start + length)
    }

    /// The file as the user knows it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In bytes of the text.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Line and column (in characters) of the start, counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.position_of(self.range.start)
    }

    /// The same of the first character behind it.
    pub fn end(&self) -> (usize, usize) {
        self.position_of(self.range.end)
    }

    fn position_of(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// `file:line:column`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}", self.file.display())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            file: &'a Path,
            line: usize,
            column: usize,
        }
        let (line, column) = self.position();
        Shape { file: &self.file, line, column }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_in_characters() {
        let text = "é = 1\nb = é2\n";
        let at = text.find('2').unwrap();
        assert_eq!(Span::new("f", text, at..at + 1).position(), (2, 6));
        assert_eq!(Span::new("f", text, 0..at + 1).end(), (2, 7));
        assert_eq!(Span::line_of("f", text, 2).range(), 7..14);
    }
}
