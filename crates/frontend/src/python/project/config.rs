//! TOML by path, with the place of every key, so that each refusal shows the line that caused it.

use std::collections::BTreeMap;
use std::ops::Range;

use corten_diagnostic::Span;
use toml::de::{DeTable, DeValue};

use super::folder::Text;
use super::refusal::{Outcome, Refusal};

/// Items of one list: patterns are matched against every file of the project.
pub(super) const MOST_ITEMS: usize = 2000;

/// A TOML file, read.
#[derive(Debug)]
pub(super) struct Toml {
    pub text: Text,
    root: Node,
}

#[derive(Debug)]
struct Node {
    at: Range<usize>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Flag(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// Numbers and dates: no backend's key that decides about files has one.
    Other(String),
}

/// A place in a TOML file, whether or not something is there.
#[derive(Debug, Clone)]
pub(super) struct At<'t> {
    file: &'t Toml,
    node: Option<&'t Node>,
    /// As the user would write it: `tool.hatch.build`.
    pub name: String,
}

impl Toml {
    pub fn parse(text: Text) -> Outcome<Self> {
        let content = std::sync::Arc::clone(&text.text);
        let table = DeTable::parse(&content).map_err(|error| {
            let place = error.span().map(|range| text.span(range));
            Refusal::broken(format!("{}: broken TOML: {}", text.name(), error.message().trim_end())).at(place)
        })?;
        let root = Node { at: 0..0, value: Value::Table(table_of(table.get_ref())) };
        Ok(Self { text, root })
    }

    pub fn root(&self) -> At<'_> {
        At { file: self, node: Some(&self.root), name: String::new() }
    }

    /// `tool.hatch.build`: keys without dots of their own.
    pub fn path(&self, path: &str) -> At<'_> {
        path.split('.').fold(self.root(), |at, key| at.key(key))
    }
}

fn table_of(table: &DeTable<'_>) -> BTreeMap<String, Node> {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node_of(value, &key.span()))).collect()
}

fn node_of(value: &toml::Spanned<DeValue<'_>>, key: &Range<usize>) -> Node {
    let at = match value.get_ref() {
        DeValue::Table(_) => key.clone(),
        _ => value.span(),
    };
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node_of(item, &item.span())).collect()),
        DeValue::Table(table) => Value::Table(table_of(table)),
        DeValue::Integer(number) => Value::Other(number.to_string()),
        DeValue::Float(number) => Value::Other(number.to_string()),
        DeValue::Datetime(time) => Value::Other(time.to_string()),
    };
    Node { at, value }
}

impl<'t> At<'t> {
    pub fn key(&self, key: &str) -> Self {
        let node = match self.node.map(|node| &node.value) {
            Some(Value::Table(table)) => table.get(key),
            _ => None,
        };
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Self { file: self.file, node, name }
    }

    pub fn exists(&self) -> bool {
        self.node.is_some()
    }

    pub fn span(&self) -> Option<Span> {
        self.node.map(|node| self.file.text.span(node.at.clone()))
    }

    pub fn is_table(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::Table(_)))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::List(_)))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.node.map(|node| &node.value), Some(Value::Text(_)))
    }

    /// The value is of no use: `[a.b] what`.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::broken(format!("{}: {} {what}", self.file.text.name(), self.name)).at(self.span())
    }

    /// A build has to run because of it: `[a.b] what`.
    pub fn needs_build(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::needs_build(format!("[{}] {what}", self.name)).at(self.span())
    }

    pub fn text(&self) -> Outcome<Option<&'t str>> {
        match self.node.map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong("is no text")),
        }
    }

    pub fn flag(&self) -> Outcome<Option<bool>> {
        match self.node.map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong("is neither true nor false")),
        }
    }

    /// The items of a list; none where it is absent.
    pub fn items(&self) -> Outcome<Vec<Self>> {
        match self.node.map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(Value::List(items)) if items.len() > MOST_ITEMS => {
                Err(self.wrong(format!("has more than {MOST_ITEMS} items")))
            }
            Some(Value::List(items)) => {
                let item = |node| Self { file: self.file, node: Some(node), name: self.name.clone() };
                Ok(items.iter().map(item).collect())
            }
            Some(_) => Err(self.wrong("is no list")),
        }
    }

    /// A list of texts, if it is there.
    pub fn texts(&self) -> Outcome<Option<Vec<&'t str>>> {
        if !self.exists() {
            return Ok(None);
        }
        let text = |item: Self| item.text()?.ok_or_else(|| item.wrong("is no text"));
        self.items()?.into_iter().map(text).collect::<Outcome<_>>().map(Some)
    }

    /// The entries of a table; none where it is absent.
    pub fn entries(&self) -> Outcome<Vec<(&'t str, Self)>> {
        match self.node.map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(Value::Table(table)) if table.len() > MOST_ITEMS => {
                Err(self.wrong(format!("has more than {MOST_ITEMS} keys")))
            }
            Some(Value::Table(table)) => Ok(table.keys().map(|key| (key.as_str(), self.key(key))).collect()),
            Some(_) => Err(self.wrong("is no table")),
        }
    }

    /// A table of texts.
    pub fn text_entries(&self) -> Outcome<Vec<(&'t str, &'t str)>> {
        let text = |(key, at): (&'t str, Self)| Ok((key, at.text()?.unwrap_or_default()));
        self.entries()?.into_iter().map(text).collect()
    }

    /// A table of lists of texts.
    pub fn list_entries(&self) -> Outcome<Vec<(&'t str, Vec<&'t str>)>> {
        let list = |(key, at): (&'t str, Self)| Ok((key, at.texts()?.unwrap_or_default()));
        self.entries()?.into_iter().map(list).collect()
    }

    /// As the user wrote it, for messages.
    pub fn shown(&self) -> String {
        match self.node.map(|node| &node.value) {
            Some(Value::Text(text) | Value::Other(text)) => text.clone(),
            Some(Value::Flag(flag)) => flag.to_string(),
            Some(Value::List(_)) => "a list".to_owned(),
            Some(Value::Table(_)) => "a table".to_owned(),
            None => "nothing".to_owned(),
        }
    }
}
