//! `--name=value`: which flags an instruction has, each at most once but where it says otherwise.

use super::syntax::{Instruction, Keyword, Mistake};
use super::words::Word;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Many,
}

/// The flags of an instruction.
fn known(keyword: Keyword) -> &'static [(&'static str, Kind)] {
    use Kind::{Flag, Many, Text};
    match keyword {
        Keyword::From => &[("platform", Text)],
        Keyword::Run => &[("mount", Many), ("network", Text), ("security", Text), ("device", Many)],
        Keyword::Copy => {
            &[("from", Text), ("chown", Text), ("chmod", Text), ("link", Flag), ("parents", Flag), ("exclude", Many)]
        }
        Keyword::Add => &[
            ("chown", Text),
            ("chmod", Text),
            ("link", Flag),
            ("exclude", Many),
            ("keep-git-dir", Flag),
            ("checksum", Text),
            ("unpack", Flag),
        ],
        Keyword::Healthcheck => &[
            ("interval", Text),
            ("timeout", Text),
            ("start-period", Text),
            ("start-interval", Text),
            ("retries", Text),
        ],
        _ => &[],
    }
}

/// The flags of one instruction, checked.
pub(super) struct Flags {
    read: Vec<(&'static str, Word)>,
}

impl Flags {
    pub(super) fn of(instruction: &Instruction) -> Result<Self, Mistake> {
        let mut flags = Self { read: Vec::new() };
        for word in &instruction.flags {
            flags.add(instruction.keyword, word)?;
        }
        Ok(flags)
    }

    fn add(&mut self, keyword: Keyword, word: &Word) -> Result<(), Mistake> {
        let bare = word.text.trim_start_matches('-');
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (bare, None),
        };
        let Some(&(name, kind)) = known(keyword).iter().find(|(known, _)| *known == name) else {
            return Err(unknown(keyword, name, word));
        };
        let value = match (kind, value) {
            (Kind::Flag, None) => "true",
            (Kind::Flag, Some(value @ ("true" | "false"))) => value,
            (Kind::Flag, Some(_)) => {
                return Err(Mistake::new(format!("--{name} is true or false"), word.range.clone()));
            }
            (_, Some(value)) if !value.is_empty() => value,
            _ => return Err(Mistake::new(format!("--{name} needs a value"), word.range.clone())),
        };
        if kind != Kind::Many && self.read.iter().any(|(known, _)| *known == name) {
            return Err(Mistake::new(format!("a second --{name}"), word.range.clone()));
        }
        self.read.push((name, Word { text: value.to_owned(), range: word.range.clone() }));
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Option<Word> {
        self.many(name).into_iter().next()
    }

    pub(super) fn many(&self, name: &str) -> Vec<Word> {
        self.read.iter().filter(|(known, _)| *known == name).map(|(_, word)| word.clone()).collect()
    }

    /// None where it is not written.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|word| word.text == "true")
    }
}

fn unknown(keyword: Keyword, name: &str, word: &Word) -> Mistake {
    let mistake = Mistake::new(format!("{} has no flag --{name}", keyword.name()), word.range.clone());
    let names: Vec<&str> = known(keyword).iter().map(|(name, _)| *name).collect();
    match near(name, &names) {
        Some(meant) => mistake.hint(format!("did you mean --{meant}?")),
        None if names.is_empty() => mistake.hint("it has none at all"),
        None => mistake.hint(format!("it has --{}", names.join(", --"))),
    }
}

/// The name that was probably meant.
pub(super) fn near<'n>(written: &str, names: &[&'n str]) -> Option<&'n str> {
    let distances = names.iter().map(|name| (strsim::damerau_levenshtein(written, name), *name));
    distances.min().filter(|(distance, name)| *distance <= 2 && *distance < name.len()).map(|(_, name)| name)
}
