//! setup.cfg, as `configparser` reads it: sections, `key = value` or `key: value`, indented lines that go on.

use std::collections::BTreeMap;

use super::config::MOST_ITEMS;
use super::folder::Text;
use super::refusal::{Outcome, Refusal};

/// A setup.cfg, read.
#[derive(Debug)]
pub(super) struct Ini {
    pub text: Text,
    sections: BTreeMap<String, Vec<Item>>,
}

#[derive(Debug)]
pub(super) struct Item {
    /// Lower case, `-` as `_`.
    pub key: String,
    /// As written.
    pub written: String,
    pub value: String,
    /// Counted from 1.
    pub line: usize,
}

impl Ini {
    pub fn parse(text: Text) -> Outcome<Self> {
        let mut ini = Self { sections: BTreeMap::new(), text };
        let content = std::sync::Arc::clone(&ini.text.text);
        let mut section: Option<String> = None;
        for (at, line) in content.lines().enumerate() {
            let number = at + 1;
            let bare = line.trim();
            if bare.starts_with(['#', ';']) {
                continue;
            }
            let items = section.as_ref().and_then(|name| ini.sections.get_mut(name));
            if line.starts_with([' ', '\t']) || bare.is_empty() {
                go_on(items, bare);
            } else if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                section = Some(name.0.to_owned());
                ini.sections.entry(name.0.to_owned()).or_default();
            } else if let (Some(items), Some((key, value))) = (items, bare.split_once(['=', ':'])) {
                items.push(Item::new(key.trim(), value.trim(), number));
            } else {
                let refusal = Refusal::broken(format!("{}: line {number} is no setting", ini.text.name()));
                return Err(refusal.at(Some(ini.text.line(number))));
            }
        }
        let long = ini.sections.values().flatten().find(|item| item.list().len() > MOST_ITEMS);
        match long
            .map(|item| (item.line, format!("{}: {} has more than {MOST_ITEMS} items", ini.text.name(), item.key)))
        {
            Some((line, why)) => Err(Refusal::broken(why).at(Some(ini.text.line(line)))),
            None => Ok(ini),
        }
    }

    pub fn section(&self, name: &str) -> &[Item] {
        self.sections.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    pub fn get(&self, section: &str, key: &str) -> Option<&Item> {
        self.section(section).iter().rev().find(|item| item.key == key)
    }
}

fn go_on(items: Option<&mut Vec<Item>>, bare: &str) {
    if let Some(last) = items.and_then(|items| items.last_mut()) {
        last.value.push('\n');
        last.value.push_str(bare);
    }
}

impl Item {
    fn new(key: &str, value: &str, line: usize) -> Self {
        let folded = key.to_ascii_lowercase().replace('-', "_");
        Self { key: folded, written: key.to_owned(), value: value.to_owned(), line }
    }

    pub fn text(&self) -> &str {
        self.value.trim()
    }

    /// One to a line, or separated by commas.
    pub fn list(&self) -> Vec<String> {
        let value = self.value.trim();
        let parts: Vec<&str> = if value.contains('\n') { value.lines().collect() } else { value.split(',').collect() };
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Lines alone: requirements hold commas.
    pub fn lines(&self) -> Vec<String> {
        self.value.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    pub fn flag(&self) -> bool {
        matches!(self.text().to_ascii_lowercase().as_str(), "1" | "true" | "yes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_on_over_lines() {
        let text = "[metadata]\nname = demo\nLong-Description: file: a.md\n# no\n[options]\ninstall_requires =\n    a>=1,<2\n    # no\n    b\nx = 1, 2\n";
        let ini = Ini::parse(Text { path: "setup.cfg".into(), text: text.into() }).unwrap();
        assert_eq!(ini.get("metadata", "long_description").unwrap().text(), "file: a.md");
        assert_eq!(ini.get("options", "install_requires").unwrap().lines(), ["a>=1,<2", "b"]);
        assert_eq!(ini.get("options", "x").unwrap().list(), ["1", "2"]);
        assert!(Ini::parse(Text { path: "setup.cfg".into(), text: "[a]\nnothing\n".into() }).is_err());
    }
}
