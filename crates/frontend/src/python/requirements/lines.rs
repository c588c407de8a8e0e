//! Lines as pip joins and splits them (pip's `req_file.py`): continuations first, then comments, then options.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::Span;

/// A file of requirements.
pub(super) struct Document {
    pub path: PathBuf,
    pub text: Arc<str>,
}

impl Document {
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        Span::new(&self.path, Arc::clone(&self.text), range)
    }
}

/// A line with what continues it, without comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    /// Where its first physical line stands, without blanks around.
    pub range: Range<usize>,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Nothing,
    Index(String),
    ExtraIndex(String),
    RequireHashes,
    /// An option that changes nothing for wheels with hashes.
    Ignored(String),
    Include {
        file: String,
        constraints: bool,
    },
    Editable(String),
    Requirement {
        text: String,
        hashes: Vec<String>,
    },
}

pub(super) fn logical_lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut joined, mut range, mut offset) = (String::new(), 0..0, 0);
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    offset += text.len() - bare.len();
    for raw in bare.split_inclusive('\n') {
        let line = raw.trim_end_matches(['\n', '\r']);
        let is_comment = line.trim_ascii_start().starts_with('#');
        if joined.is_empty() {
            let start = offset + line.len() - line.trim_ascii_start().len();
            range = start..offset + line.trim_ascii_end().len().max(start - offset);
        }
        offset += raw.len();
        if let (Some(part), false) = (line.strip_suffix('\\'), is_comment) {
            joined.push_str(part);
            // A line of nothing but the backslash must still count as begun.
            joined.push_str(if joined.is_empty() { " " } else { "" });
            continue;
        }
        // pip sees to it that a comment that ends a continuation is one.
        joined.push_str(if is_comment { " " } else { "" });
        joined.push_str(line);
        lines.push(Line { text: without_comment(&joined).to_owned(), range: range.clone() });
        joined.clear();
    }
    if !joined.is_empty() {
        lines.push(Line { text: without_comment(&joined).to_owned(), range });
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

/// A comment begins at `#` at the start or after a blank: that of `url#egg=` is none.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(char::is_whitespace)
    };
    let end = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at)).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().trim()
}

/// Understands a line; an error is the reason, as a sentence.
pub(super) fn entry(line: &str) -> Result<Entry, String> {
    if let Some(variable) = environment_variable(line) {
        return Err(format!("the environment variable {variable} is not put in: a lock must not depend on it"));
    }
    if !line.starts_with('-') {
        return requirement(line);
    }
    let (option, value) = split_option(line);
    let needs = |value: Option<&str>| value.map(unquoted).ok_or_else(|| format!("the option {option} needs a value"));
    Ok(match option {
        "-i" | "--index-url" | "--pypi-url" => Entry::Index(needs(value)?),
        "--extra-index-url" => Entry::ExtraIndex(needs(value)?),
        "-r" | "--requirement" => Entry::Include { file: needs(value)?, constraints: false },
        "-c" | "--constraint" => Entry::Include { file: needs(value)?, constraints: true },
        "-e" | "--editable" => Entry::Editable(needs(value)?),
        "--require-hashes" => Entry::RequireHashes,
        "--pre" | "--prefer-binary" | "--no-binary" | "--only-binary" | "--trusted-host" | "--use-feature" => {
            Entry::Nothing
        }
        "-f" | "--find-links" | "--no-index" => Entry::Ignored(option.to_owned()),
        _ => return Err(format!("'{option}' is not an option that pip knows in such a file")),
    })
}

/// `--name=value`, `--name value`, `-n value`, `-nvalue`.
fn split_option(line: &str) -> (&str, Option<&str>) {
    let end = line.find(|next: char| next == '=' || next.is_whitespace()).unwrap_or(line.len());
    let (option, rest) = line.split_at(end);
    if !option.starts_with("--") && option.len() > 2 && option.is_char_boundary(2) {
        let (option, value) = line.split_at(2);
        return (option, Some(value.trim_start_matches('=').trim()));
    }
    let value = rest.strip_prefix('=').unwrap_or(rest).trim();
    (option, (!value.is_empty()).then_some(value))
}

fn unquoted(text: &str) -> String {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

/// The requirement ends where the first word begins with `-`.
fn requirement(line: &str) -> Result<Entry, String> {
    let mut words = line.split_ascii_whitespace().peekable();
    let mut text = Vec::new();
    while let Some(word) = words.next_if(|word| !word.starts_with('-')) {
        text.push(word);
    }
    let mut hashes = Vec::new();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--hash", hash)) => hashes.push(unquoted(hash)),
            None if word == "--hash" => hashes.push(unquoted(words.next().ok_or("the option --hash needs a value")?)),
            // Options of a build: none takes place.
            _ => {}
        }
    }
    if let Some(hash) = hashes.iter().find(|hash| !is_hash(hash)) {
        return Err(format!("'{hash}' is not a hash as 'sha256:' with 64 hexadecimal digits"));
    }
    Ok(Entry::Requirement { text: text.join(" "), hashes })
}

/// Those that pip takes.
fn is_hash(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The first `${NAME}`.
fn environment_variable(line: &str) -> Option<&str> {
    let start = line.find("${")?;
    let rest = line.get(start..)?;
    let name = rest.get(..=rest.find('}')?)?;
    let inner = name.get(2..name.len() - 1)?;
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!inner.is_empty() && inner.bytes().all(good)).then_some(name)
}

/// The Python that pip-compile or uv say in the comment on top: `with Python 3.10`, `-p 3.11`, `--python-version 3.12`.
pub(super) fn python_hint(text: &str) -> Option<String> {
    let comments = text.lines().take(16).filter(|line| line.trim_start().starts_with('#'));
    for line in comments {
        for before in ["with Python ", "-p ", "-p=", "--python-version ", "--python-version=", "--python "] {
            let found = line.split_once(before).map(|(_, rest)| rest);
            let version = found.map(|rest| rest.split(|next: char| !next.is_ascii_digit() && next != '.').next());
            if let Some(version) = version.flatten().filter(|version| version.starts_with("3.")) {
                return Some(version.trim_end_matches('.').to_owned());
            }
        }
    }
    None
}
