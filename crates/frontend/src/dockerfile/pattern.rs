//! Patterns within variables: `*`, `?`, and `\` before either or before itself.

use regex_lite::Regex;

use super::expand::ExpandError;

/// Which of several matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Any,
    One,
    Just(char),
}

fn parts(pattern: &str) -> Result<Vec<Part>, ExpandError> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        parts.push(match character {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => match rest.next() {
                // These end the pattern, and are escaped for that reason alone.
                Some(meant @ ('*' | '?' | '\\' | '}' | '/')) => Part::Just(meant),
                Some(other) => return Err(ExpandError::Escape(other)),
                None => return Err(ExpandError::Escape(' ')),
            },
            other => Part::Just(other),
        });
    }
    Ok(parts)
}

fn compile(parts: &[Part], greed: Greed, at_start: bool) -> Result<Regex, ExpandError> {
    let mut text = String::from(if at_start { "^" } else { "" });
    for part in parts {
        match part {
            Part::Any if greed == Greed::Longest => text.push_str(".*"),
            Part::Any => text.push_str(".*?"),
            Part::One => text.push('.'),
            Part::Just(character) => text.push_str(&regex_lite::escape(character.encode_utf8(&mut [0; 4]))),
        }
    }
    // Only its size can be too much.
    Regex::new(&text).map_err(|_| ExpandError::Deep)
}

pub(super) fn without_start(value: &str, pattern: &str, greed: Greed) -> Result<String, ExpandError> {
    let found = compile(&parts(pattern)?, greed, true)?.find(value);
    Ok(value[found.map_or(0, |found| found.end())..].to_owned())
}

/// The same from behind.
pub(super) fn without_end(value: &str, pattern: &str, greed: Greed) -> Result<String, ExpandError> {
    let mut parts = parts(pattern)?;
    parts.reverse();
    let backwards: String = value.chars().rev().collect();
    let found = compile(&parts, greed, true)?.find(&backwards).map_or(0, |found| found.end());
    Ok(backwards[found..].chars().rev().collect())
}

pub(super) fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> Result<String, ExpandError> {
    let regex = compile(&parts(pattern)?, Greed::Longest, false)?;
    let limit = if all { 0 } else { 1 };
    Ok(regex.replacen(value, limit, regex_lite::NoExpand(replacement)).into_owned())
}
