//! The text of a script, and where each byte of it stands in the Dockerfile.

use std::ops::Range;

use corten_frontend::dockerfile::{Heredoc, Joined};

/// A text made of pieces of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    text: String,
    /// Pairs of bytes: from here in `text` it goes on there in the file.
    pieces: Vec<(usize, usize)>,
}

impl Source {
    /// What an instruction gives to the shell: bytes of its joined line, and its here-documents.
    pub fn of(line: &Joined, range: Range<usize>, heredocs: &[Heredoc]) -> Self {
        let mut source = Self::default();
        let text = line.text.get(range.clone()).unwrap_or_default();
        match heredocs {
            [only] if Heredoc::is_all_of(text) => source.document(only),
            _ => {
                line.cut(range).for_each(|(text, at)| source.add(text, at));
                for heredoc in heredocs {
                    source.add("\n", source.end());
                    source.document_as_it_is(heredoc);
                    // What ends it, on a line of its own.
                    source.add(&heredoc.name, source.end());
                }
            }
        }
        source
    }

    /// A text that stands in the file as it is.
    pub fn plain(text: &str, at: usize) -> Self {
        let mut source = Self::default();
        source.add(text, at);
        source
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends a piece.
    pub fn add(&mut self, text: &str, at: usize) {
        let goes_on = self.pieces.last().is_some_and(|(start, source)| source + (self.text.len() - start) == at);
        if !goes_on {
            self.pieces.push((self.text.len(), at));
        }
        self.text.push_str(text);
    }

    /// Bytes of the file for bytes of the text.
    pub fn place(&self, range: Range<usize>) -> Range<usize> {
        let start = self.source(range.start);
        let end = if range.end <= range.start { start } else { self.source(range.end - 1) + 1 };
        start..end.max(start)
    }

    /// The byte of the file for a byte of the text.
    pub fn source(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= at).checked_sub(1);
        let Some(&(start, source)) = piece.and_then(|piece| self.pieces.get(piece)) else { return at };
        source + (at - start)
    }

    /// The byte of the text for a byte of the file, where it is part of it.
    pub fn back(&self, place: usize) -> Option<usize> {
        // Both the bytes of the text and those of the file rise from piece to piece.
        let piece = self.pieces.partition_point(|(_, source)| *source <= place).checked_sub(1)?;
        let (start, source) = *self.pieces.get(piece)?;
        let at = start + (place - source);
        (at < self.end_of(piece)).then_some(at)
    }

    /// Where a piece ends, in bytes of the text.
    fn end_of(&self, piece: usize) -> usize {
        self.pieces.get(piece + 1).map_or(self.text.len(), |(start, _)| *start)
    }

    /// Appends bytes of another source.
    pub fn copy(&mut self, other: &Self, range: Range<usize>) {
        let first = other.pieces.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
        for (piece, (start, source)) in other.pieces.iter().enumerate().skip(first) {
            if *start >= range.end {
                break;
            }
            let (from, to) = ((*start).max(range.start), other.end_of(piece).min(range.end));
            if from < to {
                self.add(other.text.get(from..to).unwrap_or_default(), source + (from - start));
            }
        }
    }

    /// Where in the file it ends.
    fn end(&self) -> usize {
        self.source(self.text.len())
    }

    /// Without the tabs that `<<-` drops.
    fn document(&mut self, heredoc: &Heredoc) {
        let mut at = heredoc.at;
        for line in heredoc.content.split_inclusive('\n') {
            let kept = if heredoc.chomp { line.trim_start_matches('\t') } else { line };
            self.add(kept, at + (line.len() - kept.len()));
            at += line.len();
        }
    }

    fn document_as_it_is(&mut self, heredoc: &Heredoc) {
        self.add(&heredoc.content, heredoc.at);
    }
}
