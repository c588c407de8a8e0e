//! Texts that the client has open, and places in them: a line and a number of UTF-16 code units, both counted from 0.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Looked;

/// Bytes of all open texts together.
const BYTES: usize = 64 << 20;

/// A text.
pub struct Document {
    /// As the client knows it.
    pub uri: String,
    /// As the settings know it.
    pub path: PathBuf,
    /// Of the text.
    pub version: Option<i64>,
    /// The whole.
    pub text: String,
    /// What was found in it; none where it is nothing to look at.
    pub looked: Option<Looked>,
    /// Where lines begin, in bytes.
    starts: Vec<usize>,
}

impl Document {
    /// Not yet looked at.
    pub fn new(uri: &str, version: Option<i64>, text: String) -> Self {
        let starts = starts(&text);
        Self { uri: uri.to_owned(), path: path(uri), version, text, looked: None, starts }
    }

    /// Exchanges the text.
    pub fn set(&mut self, text: String) {
        self.starts = starts(&text);
        self.text = text;
    }

    /// Exchanges a part of it.
    pub fn replace(&mut self, range: Range<usize>, text: &str) {
        let before = self.text.get(..range.start).unwrap_or_default();
        let after = self.text.get(range.end..).unwrap_or_default();
        self.set([before, text, after].concat());
    }

    /// The byte of a place. Behind the end of a line it is that end, behind the last line the end of the text.
    pub fn byte(&self, line: u64, character: u64) -> usize {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let end = self.starts.get(line.saturating_add(1)).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..end).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let mut units = 0;
        for (at, letter) in line.char_indices() {
            units += letter.len_utf16() as u64;
            if units > character {
                return start + at;
            }
        }
        start + line.len()
    }

    /// The place of a byte.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..byte).unwrap_or_default();
        (line, before.encode_utf16().count())
    }

    /// A range as messages have it.
    pub fn range(&self, bytes: Range<usize>) -> Value {
        let place = |byte| {
            let (line, character) = self.position(byte);
            json!({"line": line, "character": character})
        };
        json!({"start": place(bytes.start), "end": place(bytes.end)})
    }

    /// The bytes of a range of a message.
    pub fn bytes(&self, range: &Value) -> Option<Range<usize>> {
        let place = |place: &Value| Some(self.byte(place["line"].as_u64()?, place["character"].as_u64()?));
        let (start, end) = (place(&range["start"])?, place(&range["end"])?);
        Some(start.min(end)..start.max(end))
    }
}

/// `\n`, `\r\n` and `\r` end lines.
fn starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

/// The file of an address; of an address of something else its last part.
fn path(uri: &str) -> PathBuf {
    let decoded = decoded(uri.split(['?', '#']).next().unwrap_or_default());
    match decoded.strip_prefix("file://") {
        Some(rest) => PathBuf::from(rest.get(rest.find('/').unwrap_or(0)..).unwrap_or_default()),
        None => PathBuf::from(decoded.rsplit(['/', ':']).next().unwrap_or_default()),
    }
}

/// `%20` and the like as they are meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All that are open.
#[derive(Default)]
pub struct Documents {
    all: BTreeMap<String, Document>,
}

impl Documents {
    /// One of them.
    pub fn get(&self, uri: &str) -> Option<&Document> {
        self.all.get(uri)
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, uri: &str) -> Option<&mut Document> {
        self.all.get_mut(uri)
    }

    /// Every one, to be looked at.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Document> {
        self.all.values_mut()
    }

    /// Opens one.
    pub fn open(&mut self, document: Document) {
        self.all.insert(document.uri.clone(), document);
    }

    /// Is it not too much, all together?
    pub fn fit(&self) -> bool {
        self.all.values().map(|document| document.text.len()).sum::<usize>() <= BYTES
    }

    /// Closes one.
    pub fn close(&mut self, uri: &str) -> Option<Document> {
        self.all.remove(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::new("file:///a/Dockerfile", Some(1), text.to_owned())
    }

    #[test]
    fn places_count_utf16() {
        let document = document("aé😀b\r\nc\rd\n");
        for (byte, place) in
            [(0, (0, 0)), (1, (0, 1)), (3, (0, 2)), (7, (0, 4)), (8, (0, 5)), (10, (1, 0)), (12, (2, 0)), (14, (3, 0))]
        {
            assert_eq!(document.position(byte), place, "{byte}");
            assert_eq!(document.byte(place.0 as u64, place.1 as u64), byte, "{place:?}");
        }
    }

    #[test]
    fn places_that_are_none_are_the_next_before() {
        let document = document("aé😀b\r\nc\n");
        assert_eq!(document.byte(0, 3), 3, "in the midst of a pair");
        assert_eq!(document.byte(0, 99), 8, "behind a line");
        assert_eq!(document.byte(9, 0), document.text.len());
        assert_eq!(document.byte(u64::MAX, u64::MAX), document.text.len());
        assert_eq!(
            document.bytes(&json!({"start": {"line": 1, "character": 0}, "end": {"line": 0, "character": 0}})),
            Some(0..10)
        );
        assert_eq!(document.bytes(&json!({"start": {"line": -1, "character": 0}})), None);
    }

    #[test]
    fn addresses_are_files() {
        for (uri, expected) in [
            ("file:///a%20b/Dockerfile", "/a b/Dockerfile"),
            ("file://localhost/a/b", "/a/b"),
            ("untitled:Untitled-1", "Untitled-1"),
            ("file:///%zz%", "/%zz%"),
            ("file:///%ff", "/\u{fffd}"),
        ] {
            assert_eq!(path(uri), PathBuf::from(expected), "{uri}");
        }
    }
}
