//! Scripts within scripts: what `sh -c '…'` runs.

use std::ops::Range;

use super::parse::{Parser, Read};
use super::{Dialect, PartKind, Quote, Script, Simple, Source, Word, calls};

impl Parser<'_, '_> {
    /// A text of the script into one of its own, each byte with its place if it stands there as it is meant.
    fn copy(&self, inner: &mut Source, text: &str, at: Range<usize>) {
        let start = self.source.back(at.start);
        let end = start.map(|start| start + text.len());
        match start.zip(end).filter(|(start, end)| self.text.get(*start..*end) == Some(text)) {
            Some((start, end)) => inner.copy(self.source, start..end),
            None => inner.add(text, at.start),
        }
    }

    /// What `sh -c '…'` runs.
    pub(super) fn inner(&mut self, simple: &Simple) -> Read<Option<Script>> {
        let words = simple.words.get(calls::unwrapped(&simple.words)..).unwrap_or_default();
        let Some(dialect) = words.first().and_then(Word::literal).and_then(|name| Dialect::of(&name)) else {
            return Ok(None);
        };
        let Some(text) = script_of(words) else { return Ok(None) };
        let mut inner = Source::default();
        for part in &text.parts {
            match (&part.kind, part.quote) {
                (PartKind::Text(text), Quote::Single | Quote::Bare | Quote::Escaped | Quote::Double) => {
                    self.copy(&mut inner, text, part.at.clone());
                }
                _ => return Ok(None),
            }
        }
        // What is no script for us may be one for its shell.
        Ok(self.list_of(&inner, dialect).ok())
    }
}

/// The text behind `-c`, also in `-exc`.
fn script_of(words: &[Word]) -> Option<&Word> {
    let is_command = |word: &Word| {
        word.literal().is_some_and(|text| {
            text.len() > 1 && !text.starts_with("--") && text.starts_with('-') && text.ends_with('c')
        })
    };
    let at = words.iter().position(is_command)?;
    let options = words
        .get(1..at)?
        .iter()
        .all(|word| word.literal().is_some_and(|text| text.starts_with(['-', '+']) || text == "pipefail"));
    words.get(at + 1).filter(|_| options)
}
