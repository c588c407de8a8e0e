//! One pattern of a .dockerignore file, with the meaning that `moby/patternmatcher` gives it.
//!
//! That library turns most patterns into a regular expression, letter by letter, and its oddities come from there: `*`
//! inside brackets ends up as the text `[^/]*`, `^` outside of them is an anchor, `**` needs no slash around it. So the
//! same text of a regular expression is made here, and the part of Go's syntax that can occur in it is read.
//!
//! | pattern | kind | matches |
//! |---|---|---|
//! | `a/b.txt` | exact | that path |
//! | `a/**` | prefix | everything below `a` |
//! | `**/b`, `**b` | suffix | paths that end so |
//! | all others | expression | `?` and `*` stay within a component, `**` does not |

use std::iter::Peekable;
use std::str::Chars;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{pattern}' is no pattern: {why}")]
pub struct PatternError {
    /// As written.
    pub pattern: String,
    /// What is wrong.
    pub why: &'static str,
}

/// Bytes of a pattern; Linux's longest path.
const LONGEST: usize = 4096;

/// A pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// It begins with `!`: what it matches is not ignored after all.
    pub exception: bool,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Expression(Vec<Item>),
}

/// One step of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    One(Set),
    Many(Set),
    /// `(.*/)?`, skipped or begun; what is begun goes on in the item behind it.
    Folders,
    /// The `.*/` of it.
    InFolders,
    Start,
}

/// Some letters, or all but some.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn one(letter: char) -> Self {
        Self { negated: false, ranges: vec![(letter, letter)] }
    }

    fn all_but(letter: char) -> Self {
        Self { negated: true, ranges: vec![(letter, letter)] }
    }

    fn has(&self, letter: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != self.negated
    }
}

impl Pattern {
    /// None for an empty text.
    pub fn parse(written: &str) -> Result<Option<Self>, PatternError> {
        let wrong = |why| PatternError { pattern: written.to_owned(), why };
        let trimmed = written.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        if trimmed.len() > LONGEST {
            return Err(PatternError {
                pattern: trimmed.chars().take(40).collect(),
                why: "it is longer than any path",
            });
        }
        let cleaned = clean(trimmed);
        let (exception, pattern) = match cleaned.strip_prefix('!') {
            Some("") => return Err(wrong("there is nothing behind '!'")),
            Some(rest) => (true, rest),
            None => (false, cleaned.as_str()),
        };
        check_brackets(pattern).map_err(wrong)?;
        Ok(Some(Self { exception, shape: Shape::of(pattern).map_err(wrong)? }))
    }

    /// Does it match the path or a folder above it?
    pub fn matches(&self, path: &str) -> bool {
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|folder| !folder.is_empty());
        match &self.shape {
            Shape::Exact(exact) => path == exact || (!exact.is_empty() && below(path, exact)),
            // What a folder above begins with, the path begins with, too.
            Shape::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Shape::Suffix(suffix) => ends_so(path, suffix) || above.any(|folder| ends_so(folder, suffix)),
            Shape::Expression(items) => run(items, path),
        }
    }

    /// Can it match anything below the folder? `true` where that is not known.
    pub fn reaches_into(&self, folder: &str) -> bool {
        match &self.shape {
            Shape::Exact(path) | Shape::Prefix(path) => {
                let path = path.trim_end_matches('/');
                below(path, folder) || below(folder, path) || path == folder
            }
            Shape::Suffix(_) => true,
            Shape::Expression(items) => {
                let literal = literal_start(items);
                literal.starts_with(&format!("{folder}/")) || format!("{folder}/").starts_with(&literal)
            }
        }
    }
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The letters that every match begins with.
fn literal_start(items: &[Item]) -> String {
    let letters = items.iter().map_while(|item| match item {
        Item::One(Set { negated: false, ranges }) => match ranges.as_slice() {
            [(low, high)] if low == high => Some(*low),
            _ => None,
        },
        _ => None,
    });
    letters.collect()
}

impl Shape {
    fn of(pattern: &str) -> Result<Self, &'static str> {
        let mut expression = String::new();
        let mut kind = Kind::Exact;
        let mut letters = pattern.chars().peekable();
        let mut first = true;
        while let Some(letter) = letters.next() {
            kind = append(letter, &mut letters, &mut expression, kind, first);
            first = false;
        }
        Ok(match kind {
            Kind::Exact => Self::Exact(pattern.to_owned()),
            Kind::Prefix => Self::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).to_owned()),
            Kind::Suffix => Self::Suffix(pattern.strip_prefix("**").unwrap_or(pattern).to_owned()),
            Kind::Expression => Self::Expression(parse(&expression)?),
        })
    }
}

/// `**/foo` matches `foo`, too.
fn ends_so(path: &str, suffix: &str) -> bool {
    path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// Puts what a letter of the pattern means behind the expression.
fn append(letter: char, rest: &mut Peekable<Chars<'_>>, expression: &mut String, kind: Kind, first: bool) -> Kind {
    match letter {
        '*' if rest.next_if_eq(&'*').is_some() => {
            rest.next_if_eq(&'/');
            let at_end = rest.peek().is_none();
            expression.push_str(if at_end { ".*" } else { "(.*/)?" });
            match (first, at_end, kind) {
                (true, _, _) => Kind::Suffix,
                (false, true, Kind::Exact) => Kind::Prefix,
                _ => Kind::Expression,
            }
        }
        '*' | '?' => {
            expression.push_str(if letter == '*' { "[^/]*" } else { "[^/]" });
            Kind::Expression
        }
        '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
            expression.extend(['\\', letter]);
            kind
        }
        '\\' => {
            expression.push('\\');
            expression.extend(rest.next());
            Kind::Expression
        }
        '[' | ']' => {
            expression.push(letter);
            Kind::Expression
        }
        _ => {
            expression.push(letter);
            kind
        }
    }
}

/// Reads the part of Go's regular expressions that [`append`] can write.
fn parse(expression: &str) -> Result<Vec<Item>, &'static str> {
    let mut items = Vec::new();
    let mut rest = expression;
    while let Some(letter) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("(.*/)?") {
            items.extend([Item::Folders, Item::InFolders]);
            rest = behind;
            continue;
        }
        let mut letters = rest.chars();
        letters.next();
        let set = match letter {
            '^' => None,
            '.' => Some(Set::all_but('\n')),
            '[' => Some(class(&mut letters)?),
            '\\' => Some(Set::one(escaped(&mut letters)?)),
            other => Some(Set::one(other)),
        };
        rest = letters.as_str();
        items.push(match (set, rest.strip_prefix('*')) {
            (None, _) => Item::Start,
            (Some(set), None) => Item::One(set),
            (Some(set), Some(behind)) => {
                rest = behind;
                Item::Many(set)
            }
        });
    }
    Ok(items)
}

/// What stands between brackets, behind the first.
fn class(letters: &mut Chars<'_>) -> Result<Set, &'static str> {
    let mut set = Set { negated: false, ranges: Vec::new() };
    if let Some(rest) = letters.as_str().strip_prefix('^') {
        set.negated = true;
        *letters = rest.chars();
    }
    loop {
        let low = match letters.next().ok_or(OPEN)? {
            ']' if !set.ranges.is_empty() => return Ok(set),
            '[' if letters.as_str().starts_with(':') => return Err("classes with names are not supported"),
            '\\' => escaped(letters)?,
            letter => letter,
        };
        let mut ahead = letters.clone();
        let range = ahead.next() == Some('-') && !ahead.as_str().starts_with(']');
        let high = if range {
            *letters = ahead;
            match letters.next().ok_or(OPEN)? {
                '\\' => escaped(letters)?,
                letter => letter,
            }
        } else {
            low
        };
        if high < low {
            return Err("a range in brackets ends before it begins");
        }
        set.ranges.push((low, high));
    }
}

const OPEN: &str = "a bracket is not closed";

/// What stands behind a backslash. Letters and digits have other meanings in Go's expressions.
fn escaped(letters: &mut Chars<'_>) -> Result<char, &'static str> {
    match letters.next() {
        Some(letter) if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Ok(letter),
        Some(_) => Err("a backslash stands before a letter or digit"),
        None => Err("a backslash stands at the end"),
    }
}

/// Does the expression match the path or a folder above it? All ways through it are gone at once: time is the product of
/// the two lengths.
fn run(items: &[Item], path: &str) -> bool {
    let mut now = vec![false; items.len() + 1];
    reach(items, &mut now, 0, true);
    for (at, letter) in path.char_indices() {
        if letter == '/' && at > 0 && now.last() == Some(&true) {
            return true;
        }
        let mut next = vec![false; items.len() + 1];
        for (at, item) in items.iter().enumerate().filter(|(at, _)| now[*at]) {
            match item {
                Item::One(set) if set.has(letter) => reach(items, &mut next, at + 1, false),
                Item::Many(set) if set.has(letter) => reach(items, &mut next, at, false),
                Item::InFolders => {
                    if letter != '\n' {
                        reach(items, &mut next, at, false);
                    }
                    if letter == '/' {
                        reach(items, &mut next, at + 1, false);
                    }
                }
                _ => {}
            }
        }
        now = next;
    }
    now.last() == Some(&true)
}

/// Marks an item, and what can be reached from it without a letter.
fn reach(items: &[Item], marks: &mut [bool], at: usize, at_start: bool) {
    let Some(mark) = marks.get_mut(at).filter(|mark| !**mark) else { return };
    *mark = true;
    match items.get(at) {
        Some(Item::Many(_)) => reach(items, marks, at + 1, at_start),
        Some(Item::Folders) => {
            reach(items, marks, at + 1, at_start);
            reach(items, marks, at + 2, at_start);
        }
        Some(Item::Start) if at_start => reach(items, marks, at + 1, at_start),
        _ => {}
    }
}

/// The syntax that Go's `filepath.Match` demands of brackets and backslashes.
fn check_brackets(pattern: &str) -> Result<(), &'static str> {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next().ok_or("a backslash stands at the end")?;
            }
            '[' => check_class(&mut letters)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_class(letters: &mut Chars<'_>) -> Result<(), &'static str> {
    let skip = |letters: &mut Chars<'_>, wanted: char| match letters.as_str().strip_prefix(wanted) {
        Some(rest) => {
            *letters = rest.chars();
            true
        }
        None => false,
    };
    let member = |letters: &mut Chars<'_>| match letters.next() {
        None => Err(OPEN),
        Some('-' | ']') => Err("'-' or ']' in brackets needs a backslash"),
        Some('\\') => letters.next().map(|_| ()).ok_or(OPEN),
        Some(_) => Ok(()),
    };
    skip(letters, '^');
    member(letters)?;
    loop {
        if skip(letters, '-') {
            member(letters)?;
        }
        if skip(letters, ']') {
            return Ok(());
        }
        member(letters)?;
    }
}

/// Go's `filepath.Clean`: no `.`, no double slash, `..` resolved as far as it goes.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
