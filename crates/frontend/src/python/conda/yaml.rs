//! YAML as a tree with places: what conda's files use of it, and nothing that makes a small file large (aliases).

use corten_diagnostic::Failure;
use saphyr_parser::{Event, Parser, Span};

use super::super::LockText;

/// Conda's files need 6.
const DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    /// From 1.
    pub line: usize,
}

/// A value: every scalar is text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.pairs().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The pairs of a map; none of anything else.
    pub(super) fn pairs(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(pairs) => pairs,
            Value::Text(_) | Value::List(_) => &[],
        }
    }
}

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The place of a line, from 1.
    pub(super) fn span(&self, lock: &LockText, line: usize) -> corten_diagnostic::Span {
        let start = self.0.get(line.saturating_sub(1)).copied().unwrap_or(lock.text.len());
        let length = lock.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        lock.span(start..start + length)
    }
}

/// The place of one line of `lock`.
pub(super) fn line(lock: &LockText, line: usize) -> corten_diagnostic::Span {
    Lines::of(&lock.text).span(lock, line)
}

/// Reads the one document of `lock`.
pub(super) fn parse(lock: &LockText) -> Result<Node, Failure> {
    let mut builder = Builder { open: Vec::new(), done: None };
    for item in Parser::new_from_str(&lock.text) {
        let (event, span) = item.map_err(|error| {
            let at = line(lock, error.marker().line());
            lock.failure(format!("broken YAML: {}", error.info())).at(at)
        })?;
        builder.take(event, span).map_err(|reason| lock.failure(reason).at(line(lock, span.start.line())))?;
    }
    builder.done.ok_or_else(|| lock.failure("it is empty"))
}

/// A list or map that is not yet closed.
enum Open {
    List(Vec<Node>, usize),
    /// With the key whose value comes next.
    Map(Vec<(String, Node)>, Option<String>, usize),
}

struct Builder {
    open: Vec<Open>,
    done: Option<Node>,
}

impl Builder {
    /// An error is a sentence.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let line = span.start.line();
        match event {
            Event::Alias(_) => return Err("it has an alias ('*'), which no tool writes here".into()),
            Event::Scalar(text, _, _, _) => self.put(Node { value: Value::Text(text.into_owned()), line })?,
            Event::SequenceStart(..) => self.open(Open::List(Vec::new(), line))?,
            Event::MappingStart(..) => self.open(Open::Map(Vec::new(), None, line))?,
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::DocumentStart(_) if self.done.is_some() => return Err("it has more than one document".into()),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= DEPTH {
            return Err("it is nested too deep".into());
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List(items, line)) => self.put(Node { value: Value::List(items), line }),
            Some(Open::Map(pairs, _, line)) => self.put(Node { value: Value::Map(pairs), line }),
            None => Ok(()),
        }
    }

    fn put(&mut self, node: Node) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.done = Some(node),
            Some(Open::List(items, _)) => items.push(node),
            Some(Open::Map(pairs, key @ Some(_), _)) => pairs.push((key.take().unwrap_or_default(), node)),
            Some(Open::Map(_, key, _)) => match node.value {
                Value::Text(text) => *key = Some(text),
                Value::List(_) | Value::Map(_) => return Err("a key that is no text".into()),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::LockKind;
    use super::*;

    fn read(text: &str) -> Result<Node, String> {
        parse(&LockText::new(LockKind::Pixi, "pixi.lock", text)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_tree_with_lines() {
        let node = read("version: 6\nlist:\n- a: 1\n  b: 'x: y'\n- c\nempty: []\nnothing:\n").unwrap();
        assert_eq!(node.text("version"), Some("6"));
        let items = node.get("list").unwrap().items();
        assert_eq!((items[0].text("b"), items[0].line, items[1].as_text()), (Some("x: y"), 3, Some("c")));
        assert!(node.get("empty").unwrap().items().is_empty() && node.get("nope").is_none());
        assert_eq!(node.pairs().len(), 4);
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        for text in [
            "",
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
    }
}
