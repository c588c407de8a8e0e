//! Patterns of COPY and ADD: Go's `path/filepath.Match`, component by component.
//!
//! `*` and `?` stay within a component, `[a-c]` is a class, `[^a]` its opposite, `\` takes away a meaning. There is no `**`.

use corten_diagnostic::Failure;
use corten_oci::{Kind, LayerPath};

use super::view::{Last, View, resolve};

/// Is something in the text more than a letter?
pub(super) fn is_pattern(text: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// The paths (no links among what the pattern itself matched) that a pattern stands for, by name.
///
/// # Errors
/// A malformed pattern.
pub(super) fn matches(view: &dyn View, pattern: &str) -> Result<Vec<LayerPath>, Failure> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let literal = parts.iter().take_while(|part| !is_pattern(part)).count();
    let (above, below) = parts.split_at(literal);
    let start = resolve(view, above.join("/").as_bytes(), Last::Followed)?;
    let mut folders = vec![start];
    for (at, part) in below.iter().enumerate() {
        let parsed: Vec<Item> =
            parse(part).map_err(|why| Failure::input(format!("'{pattern}' is no pattern: {why}")))?;
        let is_last = at + 1 == below.len();
        let mut next = Vec::new();
        for folder in folders {
            for found in view.children(&folder)? {
                let name = String::from_utf8_lossy(found.path.name()).into_owned();
                if (is_last || found.kind == Kind::Directory) && run(&parsed, &name) {
                    next.push(found.path);
                }
            }
        }
        folders = next;
    }
    Ok(folders)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Any,
    One,
    Letter(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn parse(pattern: &str) -> Result<Vec<Item>, &'static str> {
    let mut items = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        items.push(match letter {
            '*' => Item::Any,
            '?' => Item::One,
            '\\' => Item::Letter(letters.next().ok_or("it ends in '\\'")?),
            '[' => class(&mut letters)?,
            other => Item::Letter(other),
        });
    }
    items.dedup_by(|one, other| *one == Item::Any && *other == Item::Any);
    Ok(items)
}

fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Item, &'static str> {
    let negated = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if letters.peek() == Some(&']') && !ranges.is_empty() {
            letters.next();
            return Ok(Item::Class { negated, ranges });
        }
        let low = member(letters)?;
        let high = if letters.next_if_eq(&'-').is_some() { member(letters)? } else { low };
        ranges.push((low, high));
    }
}

fn member(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match letters.next() {
        None => Err("a '[' is never closed"),
        Some('-' | ']') => Err("a class holds '-' or ']' where a letter is meant"),
        Some('\\') => letters.next().ok_or("it ends in '\\'"),
        Some(letter) => Ok(letter),
    }
}

/// Linear in pattern times text: the last star alone is tried again.
fn run(items: &[Item], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut letter, mut star) = (0, 0, None);
    loop {
        match (items.get(at), text.get(letter)) {
            (None, None) => return true,
            (Some(Item::Any), _) => {
                star = Some((at, letter));
                at += 1;
            }
            (Some(item), Some(&found)) if is(item, found) => {
                at += 1;
                letter += 1;
            }
            _ => match star {
                Some((place, begun)) if begun < text.len() => {
                    star = Some((place, begun + 1));
                    at = place + 1;
                    letter = begun + 1;
                }
                _ => return false,
            },
        }
    }
}

fn is(item: &Item, letter: char) -> bool {
    match item {
        Item::Any => false,
        Item::One => true,
        Item::Letter(own) => *own == letter,
        Item::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of Go's own table (path/filepath/match_test.go).
    #[test]
    fn patterns_match_as_gos_do() {
        let rows = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "a", false),
            ("*x", "xxx", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(run(&parse(pattern).unwrap(), text), expected, "{pattern} {text}");
        }
        for broken in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn d20_many_stars_take_no_time() {
        assert!(!run(&parse(&"a*".repeat(2000)).unwrap(), &"a".repeat(1999)));
    }
}
