//! From the lines of a file to the lines that are meant: comments gone, continuations joined, here-documents set apart.
//!
//! Where each byte of a joined line came from is kept, so that whoever finds a mistake in it can show the file's own line.

use std::ops::Range;

/// A line with its continuations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// One line, without the continuation marks.
    pub text: String,
    /// Of which lines of the file, counted from 1.
    pub lines: Range<usize>,
    /// The comments right above it.
    pub comments: Vec<String>,
    /// Empty lines in its midst: allowed once, and warned of since.
    pub empty: Vec<usize>,
    /// Pairs of bytes: from here in `text` it goes on there in the file.
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    /// Bytes of the file for bytes of `text`.
    pub fn place(&self, range: Range<usize>) -> Range<usize> {
        let start = self.source(range.start);
        // The last byte decides, not the one behind it: that may be on the next line.
        let end = if range.is_empty() { start } else { self.source(range.end - 1) + 1 };
        start..end.max(start)
    }

    /// A part of `text` cut where the file's lines were joined: each piece with the byte of the file that it begins at.
    pub fn cut(&self, range: Range<usize>) -> impl Iterator<Item = (&str, usize)> {
        let starts = self.pieces.iter().map(|(start, _)| *start);
        let ends = starts.clone().skip(1).chain([self.text.len()]);
        starts.zip(ends).filter_map(move |(start, end)| {
            let (start, end) = (start.max(range.start), end.min(range.end));
            let text = self.text.get(start..end).filter(|text| !text.is_empty())?;
            Some((text, self.source(start)))
        })
    }

    fn source(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= at).checked_sub(1);
        let Some(&(start, source)) = piece.and_then(|piece| self.pieces.get(piece)) else { return 0 };
        source + (at - start)
    }

    fn add(&mut self, text: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(text);
    }
}

/// One line of the file, with its end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'t> {
    /// As it stands there.
    pub text: &'t str,
    /// Where it begins, in bytes.
    pub at: usize,
    /// Counted from 1.
    pub number: usize,
}

/// Goes through a file.
pub struct Lines<'t> {
    rest: &'t str,
    at: usize,
    number: usize,
    escape: char,
    comments: Vec<String>,
    directives: usize,
}

impl<'t> Lines<'t> {
    /// `escape` joins lines; so many lines at the beginning are directives, and no comments.
    pub fn new(text: &'t str, escape: char, directives: usize) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest, at: text.len() - rest.len(), number: 0, escape, comments: Vec::new(), directives }
    }

    /// The next line as it stands.
    pub fn raw(&mut self) -> Option<Line<'t>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (text, rest) = self.rest.split_at(length);
        let line = Line { text, at: self.at, number: self.number + 1 };
        (self.rest, self.at, self.number) = (rest, self.at + length, line.number);
        Some(line)
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many lines were read.
    pub fn read(&self) -> usize {
        self.number
    }

    /// The next line that means something, joined.
    pub fn joined(&mut self) -> Option<Joined> {
        loop {
            let line = self.raw()?;
            let bare = line.text.trim_end_matches(['\r', '\n']);
            let text = bare.trim_start();
            if let Some(comment) = text.strip_prefix('#') {
                self.comment(comment.trim(), line.number);
                continue;
            }
            let comments = std::mem::take(&mut self.comments);
            let (text, goes_on) = self.without_mark(text);
            if !goes_on && text.is_empty() {
                continue;
            }
            let mut joined = Joined { lines: line.number..line.number + 1, comments, ..Joined::default() };
            joined.add(text, line.at + (bare.len() - bare.trim_start().len()));
            if goes_on {
                self.go_on(&mut joined);
            }
            joined.lines.end = self.number + 1;
            return Some(joined);
        }
    }

    /// An empty comment separates what is above it from the instruction.
    fn comment(&mut self, text: &str, number: usize) {
        if text.is_empty() {
            self.comments.clear();
        } else if number > self.directives {
            self.comments.push(text.to_owned());
        }
    }

    fn go_on(&mut self, joined: &mut Joined) {
        while let Some(line) = self.raw() {
            let bare = line.text.trim_end_matches(['\r', '\n']);
            if bare.trim_start().starts_with('#') {
                continue;
            }
            if bare.trim_start().is_empty() {
                joined.empty.push(line.number);
                continue;
            }
            let (text, goes_on) = self.without_mark(bare);
            joined.add(text, line.at);
            if !goes_on {
                return;
            }
        }
    }

    /// A mark at the end, which may be followed by blanks, but not preceded by another one.
    fn without_mark<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => (before, true),
            _ => (line, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_line_knows_where_it_came_from() {
        let text = "# why\n  RUN a \\\n# no\n\n    b\nX\n";
        let mut lines = Lines::new(text, '\\', 0);
        let joined = lines.joined().unwrap();
        assert_eq!(joined.text, "RUN a     b");
        assert_eq!((joined.lines.clone(), joined.comments.as_slice()), (2..6, &["why".to_owned()][..]));
        assert_eq!(joined.empty, [4]);
        let at = joined.text.find('b').unwrap();
        assert_eq!(joined.place(at..at + 1), text.find("b\n").map(|at| at..at + 1).unwrap());
        assert_eq!(joined.place(0..5), 8..13);
    }

    #[test]
    fn two_marks_are_a_character() {
        let mut lines = Lines::new("RUN a\\\\\nRUN b\\  \nc", '\\', 0);
        assert_eq!(lines.joined().unwrap().text, "RUN a\\\\");
        assert_eq!(lines.joined().unwrap().text, "RUN bc");
        assert_eq!(lines.joined(), None);
    }
}
