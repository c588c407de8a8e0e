//! `# syntax=`, `# escape=`, `# check=`: comments at the very beginning that mean something.

use std::ops::Range;

/// What a directive is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectiveName {
    /// Which frontend the file is written for; read and told, never run.
    Syntax,
    /// What joins lines and escapes characters.
    Escape,
    /// Which checks are skipped, and whether they are errors.
    Check,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// About what.
    pub name: DirectiveName,
    /// What stands behind `=`, without blanks around it.
    pub value: String,
    /// Bytes of the file: its line.
    pub range: Range<usize>,
    /// Counted from 1.
    pub line: usize,
}

/// The directives of a file, in their order; there may be several of one name, which is a mistake.
pub(super) fn read(text: &str) -> Vec<Directive> {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut at = text.len() - rest.len();
    let mut directives = Vec::new();
    for (index, line) in rest.split_inclusive('\n').enumerate() {
        let bare = line.trim();
        let Some((name, value)) = pair(bare) else { break };
        let name = match name.to_ascii_lowercase().as_str() {
            "syntax" => Some(DirectiveName::Syntax),
            "escape" => Some(DirectiveName::Escape),
            "check" => Some(DirectiveName::Check),
            _ => None,
        };
        let start = at + (line.len() - line.trim_start().len());
        let directive =
            |name| Directive { name, value: value.to_owned(), range: start..start + bare.len(), line: index + 1 };
        directives.extend(name.map(directive));
        at += line.len();
    }
    directives
}

/// `# name = value`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then_some((name, value))
}
