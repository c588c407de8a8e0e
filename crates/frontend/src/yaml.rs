//! YAML as a tree with places: compose files, `.hadolint.yaml`, conda's files. Every scalar is text; aliases stand for what they
//! name.
//!
//! Depth is bounded, and so is what aliases make of a small file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// Nobody nests deeper.
const DEPTH: usize = 64;
/// Values of a file, each alias counted with all that it stands for, and each anchor with what it keeps.
const NODES: usize = 200_000;
/// Bytes of a text that count as one more value, where it is copied.
const TEXT: usize = 64;
/// Of every so manieth character it is known where it stands.
const STRIDE: usize = 64;

/// A file that was read: its first document.
#[derive(Debug, Clone)]
pub struct Document {
    file: PathBuf,
    text: Arc<str>,
    /// The whole; a file without anything is an empty text.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// It.
    pub value: Value,
    /// In bytes of the file; of an alias what it stands for.
    pub at: Range<usize>,
    /// Of what stands behind a key: the key, in bytes of the file.
    pub key_at: Range<usize>,
    /// A scalar in quotes, or a block of lines: never a number or `true`.
    pub quoted: bool,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A scalar, as it is meant; nothing at all is the empty text.
    Text(String),
    /// `- a`.
    List(Vec<Node>),
    /// `key: value`, in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Document {
    /// Reads a file; `file` is its name as the user knows it.
    ///
    /// # Errors
    /// What is no YAML, or is too deep or too large, with its place; whose fault is the input.
    pub fn read(file: &Path, text: &str) -> Result<Self, Failure> {
        Self::of(file, text.into(), Of::People)
    }

    /// The same of a file that a program wrote: of any length, one document, without aliases.
    ///
    /// # Errors
    /// As [`Document::read`], and where it is no such file.
    pub fn read_written(file: &Path, text: &Arc<str>) -> Result<Self, Failure> {
        Self::of(file, Arc::clone(text), Of::Programs)
    }

    fn of(file: &Path, text: Arc<str>, of: Of) -> Result<Self, Failure> {
        let places = Places::of(&text);
        let mut builder =
            Builder { of, places: &places, open: Vec::new(), named: HashMap::new(), nodes: 0, done: None };
        let failure = |reason: String, at: usize| {
            let span = Span::new(file, Arc::clone(&text), places.line(at));
            Failure::input(format!("{}: {reason}", file.display())).at(span)
        };
        for item in Parser::new_from_str(&text) {
            let (event, span) =
                item.map_err(|error| failure(format!("broken YAML: {}", error.info()), places.byte(error.marker())))?;
            if matches!(event, Event::DocumentEnd) && builder.done.is_some() && of == Of::People {
                break;
            }
            let at = places.byte(&span.start)..places.byte(&span.end);
            builder.take(event, at.clone()).map_err(|reason| failure(reason, at.start))?;
        }
        let root = builder.done.take().unwrap_or_else(|| Node::new(Value::Text(String::new()), 0..0));
        Ok(Self { file: file.to_owned(), text: Arc::clone(&text), root })
    }

    /// As the user knows it.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole line of a value.
    pub fn line(&self, node: &Node) -> Span {
        let (before, after) = self.text.split_at_checked(node.at.start).unwrap_or((&self.text, ""));
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let length = after.lines().next().map_or(0, str::len);
        self.span(start..before.len() + length)
    }

    /// Bytes of the file.
    pub fn span(&self, range: Range<usize>) -> Span {
        Span::new(&self.file, Arc::clone(&self.text), range)
    }
}

impl Node {
    fn new(value: Value, at: Range<usize>) -> Self {
        Self { value, at, key_at: 0..0, quoted: false }
    }

    /// The value of a key, its own or one that `<<` brings.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.find(key, DEPTH)
    }

    fn find(&self, key: &str, depth: usize) -> Option<&Self> {
        let own = self.pairs().iter().find(|(name, _)| name == key).map(|(_, node)| node);
        let merged = || {
            let (_, merged) = self.pairs().iter().find(|(name, _)| name == "<<").filter(|_| depth > 0)?;
            merged.find(key, depth - 1).or_else(|| merged.items().iter().find_map(|one| one.find(key, depth - 1)))
        };
        own.or_else(merged)
    }

    /// The text of a key.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// `true`, `yes`, `on`, without quotes, in any case.
    pub fn is_true(&self) -> bool {
        let is = |text: &str| ["true", "yes", "on"].iter().any(|known| text.eq_ignore_ascii_case(known));
        !self.quoted && self.as_text().is_some_and(is)
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The pairs of a map; none of anything else.
    pub fn pairs(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(pairs) => pairs,
            Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The texts of a list, or of one text alone, each with its node.
    pub fn texts(&self) -> Vec<(&str, &Self)> {
        match &self.value {
            Value::Text(text) => vec![(text, self)],
            Value::List(items) => items.iter().filter_map(|item| Some((item.as_text()?, item))).collect(),
            Value::Map(_) => Vec::new(),
        }
    }

    /// How many values it is; long texts count as many.
    fn size(&self) -> usize {
        match &self.value {
            Value::Text(text) => text.len() / TEXT + 1,
            Value::List(items) => items.iter().map(Self::size).sum::<usize>() + 1,
            Value::Map(pairs) => pairs.iter().map(|(key, node)| key.len() / TEXT + node.size()).sum::<usize>() + 1,
        }
    }

    /// How many lists and maps stand in each other.
    fn depth(&self) -> usize {
        match &self.value {
            Value::Text(_) => 0,
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0) + 1,
            Value::Map(pairs) => pairs.iter().map(|(_, node)| node.depth()).max().unwrap_or(0) + 1,
        }
    }
}

/// From lines and columns, in characters, to bytes.
struct Places<'t> {
    text: &'t str,
    /// Bytes where lines begin, as people count them.
    starts: Vec<usize>,
    /// Characters before each line, as YAML counts them: `\r` alone ends one, too.
    lines: Vec<usize>,
    /// The byte of each [`STRIDE`]th character.
    marks: Vec<usize>,
}

impl<'t> Places<'t> {
    fn of(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        let (mut lines, mut marks) = (vec![0], Vec::new());
        let mut letters = text.char_indices().enumerate().peekable();
        while let Some((number, (at, letter))) = letters.next() {
            if number % STRIDE == 0 {
                marks.push(at);
            }
            let is_next_feed = letters.peek().is_some_and(|(_, (_, next))| *next == '\n');
            if letter == '\n' || (letter == '\r' && !is_next_feed) {
                lines.push(number + 1);
            }
        }
        Self { text, starts, lines, marks }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let letter = self.lines.get(marker.line().saturating_sub(1)).map(|start| start.saturating_add(marker.col()));
        let found = letter.and_then(|letter| {
            let mark = *self.marks.get(letter / STRIDE)?;
            let (at, _) = self.text.get(mark..)?.char_indices().nth(letter % STRIDE)?;
            Some(mark + at)
        });
        found.unwrap_or(self.text.len())
    }

    /// The line of a byte, without its end.
    fn line(&self, at: usize) -> Range<usize> {
        let line = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let length = self.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        start..start + length
    }
}

const TOO_DEEP: &str = "it is nested too deep";

/// A list or map that is not yet closed.
struct Open {
    value: Value,
    start: usize,
    anchor: usize,
    /// Of a map: the key whose value comes next.
    key: Option<(String, Range<usize>)>,
}

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// With anchors; at most [`NODES`].
    People,
    Programs,
}

struct Builder<'p, 't> {
    of: Of,
    places: &'p Places<'t>,
    open: Vec<Open>,
    named: HashMap<usize, Node>,
    nodes: usize,
    done: Option<Node>,
}

impl Builder<'_, '_> {
    /// An error is a sentence.
    fn take(&mut self, event: Event<'_>, at: Range<usize>) -> Result<(), String> {
        match event {
            Event::Alias(_) if self.of == Of::Programs => {
                return Err("it has an alias ('*'), which no tool writes here".into());
            }
            Event::DocumentStart(_) if self.done.is_some() => return Err("it has more than one document".into()),
            Event::Alias(anchor) => {
                let (size, depth) = self.named.get(&anchor).map_or((0, 0), |node| (node.size(), node.depth()));
                self.count(size)?;
                if self.open.len() + depth > DEPTH {
                    return Err(TOO_DEEP.into());
                }
                let node = self.named.get(&anchor).cloned().ok_or("an alias of what is not yet closed")?;
                self.put(node)?;
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1)?;
                let is_nothing = style == ScalarStyle::Plain && matches!(text.as_ref(), "~" | "null" | "Null" | "NULL");
                let text = if is_nothing { String::new() } else { text.into_owned() };
                let node = Node { quoted: style != ScalarStyle::Plain, ..Node::new(Value::Text(text), at) };
                self.name(anchor, &node)?;
                self.put(node)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Value::List(Vec::new()), at.start, anchor)?,
            Event::MappingStart(anchor, _) => self.open(Value::Map(Vec::new()), at.start, anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let node = Node::new(open.value, open.start..at.end.max(open.start));
                    self.name(open.anchor, &node)?;
                    self.put(node)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES && self.of == Of::People {
            Err(format!("it has more than {NODES} values"))
        } else {
            Ok(())
        }
    }

    fn name(&mut self, anchor: usize, node: &Node) -> Result<(), String> {
        if anchor > 0 && self.of == Of::People {
            self.count(node.size())?;
            self.named.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn open(&mut self, value: Value, start: usize, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if self.open.len() >= DEPTH {
            return Err(TOO_DEEP.into());
        }
        self.open.push(Open { value, start, anchor, key: None });
        Ok(())
    }

    fn put(&mut self, mut node: Node) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        match (&mut open.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(pairs), Some((key, key_at))) => {
                node.key_at = key_at;
                pairs.push((key, node));
            }
            (Value::Map(_), None) => match node.value {
                Value::Text(text) => open.key = Some((text, node.at)),
                _ => return Err(format!("line {}: a key that is no text", self.line(node.at.start))),
            },
            (Value::Text(_), _) => {}
        }
        Ok(())
    }

    fn line(&self, at: usize) -> usize {
        self.places.starts.partition_point(|start| *start <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, String> {
        Document::read(Path::new("f"), text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_tree_with_places() {
        let text = "a: é\nlist:\n- b: 'x: y'\n  c: true\n- \"true\"\nnothing:\n";
        let document = read(text).unwrap();
        let root = &document.root;
        assert_eq!(root.text_of("a"), Some("é"));
        let first = root.get("list").unwrap().items()[0].clone();
        let node = first.get("b").unwrap();
        assert_eq!((&text[node.at.clone()], &text[node.key_at.clone()]), ("'x: y'", "b"));
        assert!(first.get("c").unwrap().is_true() && !root.get("list").unwrap().items()[1].is_true());
        assert_eq!(root.text_of("nothing"), Some(""));
    }

    #[test]
    fn what_programs_write_has_no_alias_and_may_be_long() {
        let read = |text: &str| {
            let read = Document::read_written(Path::new("pixi.lock"), &Arc::from(text));
            read.map_err(|failure| failure.to_string())
        };
        let document = read("version: 6\nlist:\n- a: 1\n  b: 'x: y'\n- c\nempty: []\nnothing:\n").unwrap();
        let root = &document.root;
        assert_eq!(root.text_of("version"), Some("6"));
        let items = root.get("list").unwrap().items();
        assert_eq!((items[0].text_of("b"), items[1].as_text()), (Some("x: y"), Some("c")));
        assert_eq!((document.line(&items[0]).position().0, document.line(&items[1]).position().0), (3, 5));
        assert!(root.get("empty").unwrap().items().is_empty() && root.get("nope").is_none());
        assert_eq!(root.pairs().len(), 4);
        assert_eq!(read(&"- x\n".repeat(300_000)).unwrap().root.items().len(), 300_000);
        for text in [
            "a: &a [x]\nb: [*a, *a]",
            "a: [",
            "? [a]\n: b",
            "a: 1\n---\nb: 2",
            &"[".repeat(100_000),
            &"- ".repeat(10_000),
            &format!("a: {}", "{b: ".repeat(1000)),
        ] {
            assert!(read(text).is_err(), "{:.40}", text);
        }
        assert_eq!(read("a: 1\n---\nb: 2").unwrap_err(), "pixi.lock: it has more than one document");
    }

    #[test]
    fn aliases_and_merges_stand_for_what_they_name() {
        let root = read("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz:\n  <<: [*x, {c: 4}]\n").unwrap().root;
        let y = root.get("y").unwrap();
        assert_eq!((y.text_of("a"), y.text_of("b")), (Some("1"), Some("3")));
        assert_eq!(root.get("z").unwrap().text_of("c"), Some("4"));
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        let laughs: String =
            (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9))).collect();
        let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(190_000));
        let key = format!("a: &a {{? \"{}\" : x}}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(60_000));
        let anchors: String = (0..60).map(|n| format!("[&a{n} ")).collect();
        let named = format!("{anchors}[{}]{}", "x,".repeat(190_000), "]".repeat(60));
        let (open, close) = ("[".repeat(40), "]".repeat(40));
        let deep = format!("a: &a {open}x{close}\nb: &b {open}*a{close}\n");
        for text in ["a: [", "? [a]\n: b", &"[".repeat(100_000), &format!("a0: &a0 x\n{laughs}"), "a: *b"] {
            assert!(read(text).is_err(), "{text:.40}");
        }
        for text in [&long, &key, &named] {
            assert_eq!(read(text).unwrap_err(), "f: it has more than 200000 values", "{text:.40}");
        }
        assert_eq!(read(&deep).unwrap_err(), "f: it is nested too deep");
        assert!(read("").is_ok());
    }

    #[test]
    fn places_are_right_behind_any_line_break_and_in_long_lines() {
        let text = "é: ü # ö\rb: [c, 'd é']\r\n# x\ne: f\r\rg:\r  - \"hé\"\n";
        let document = read(text).unwrap();
        let place = |key: &str| &text[document.root.get(key).unwrap().at.clone()];
        assert_eq!((place("é"), place("e")), ("ü", "f"));
        let items = |key: &str| -> Vec<&str> {
            document.root.get(key).unwrap().items().iter().map(|item| &text[item.at.clone()]).collect()
        };
        assert_eq!((items("b"), items("g")), (vec!["c", "'d é'"], vec!["\"hé\""]));

        let text = format!("[{}]", "é,a,".repeat(90_000));
        let document = read(&text).unwrap();
        let wrong = document.root.items().iter().filter(|item| item.as_text() != text.get(item.at.clone()));
        assert_eq!((document.root.items().len(), wrong.count()), (180_000, 0));
    }
}
