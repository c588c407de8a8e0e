//! Words: quotes, variables, substitutions, globs.

use super::parse::{Parser, Read};
use super::{Part, PartKind, Quote, Source, Word, calls};

/// What ends a word where nothing quotes it.
const ENDS: [char; 12] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}', ';', '&', '|', '(', ')', '<'];
/// Behind which a `(` is bash's way to write patterns.
const EXTENDED: [char; 5] = ['?', '*', '+', '@', '!'];

/// A word under way.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    /// Bare text that is not yet a part, and where it begins.
    open: String,
    from: usize,
    to: usize,
}

impl Parts {
    pub(super) fn letter(&mut self, letter: char, at: usize) {
        if self.open.is_empty() {
            self.from = at;
        }
        self.open.push(letter);
        self.to = at + letter.len_utf8();
    }

    fn text(&mut self, text: &str, at: usize) {
        if self.open.is_empty() {
            self.from = at;
        }
        self.open.push_str(text);
        self.to = at + text.len();
    }

    fn close(&mut self, source: &Source, quote: Quote) {
        if !self.open.is_empty() {
            let text = std::mem::take(&mut self.open);
            self.all.push(Part { kind: PartKind::Text(text), quote, at: source.place(self.from..self.to) });
        }
    }
}

impl Parser<'_, '_> {
    /// Does a word come next?
    pub(super) fn begins_word(&self) -> bool {
        match self.peek() {
            None => false,
            Some('<' | '>') => self.sees("<(") || self.sees(">("),
            Some(letter) => !ENDS.contains(&letter),
        }
    }

    /// A word, which begins here.
    pub(super) fn word(&mut self) -> Read<Word> {
        let start = self.at;
        let mut parts = Parts::default();
        while let Some(letter) = self.peek() {
            if self.sees("<(") || self.sees(">(") {
                self.close_text(&mut parts);
                parts.all.push(self.process()?);
                continue;
            }
            if letter == '(' && self.is_array(&parts) {
                self.array(&mut parts)?;
                continue;
            }
            if letter == '>' || ENDS.contains(&letter) {
                break;
            }
            self.piece(letter, start, &mut parts)?;
        }
        self.close_text(&mut parts);
        let raw = self.text.get(start..self.at).unwrap_or_default().to_owned();
        Ok(Word { raw, parts: parts.all, at: self.place(start) })
    }

    /// From `start` to here, as text.
    pub(super) fn plain_word(&self, start: usize) -> Word {
        let raw = self.text.get(start..self.at).unwrap_or_default().to_owned();
        let at = self.place(start);
        let part = Part { kind: PartKind::Text(raw.clone()), quote: Quote::Bare, at: at.clone() };
        Word { raw, parts: vec![part], at }
    }

    pub(super) fn close_text(&self, parts: &mut Parts) {
        parts.close(self.source, Quote::Bare);
    }

    /// What stands outside quotes.
    fn piece(&mut self, letter: char, start: usize, parts: &mut Parts) -> Read<()> {
        let at = self.at;
        match letter {
            '\\' | '\'' | '"' | '`' => {
                self.close_text(parts);
                self.quoted_piece(letter, parts)?;
            }
            '$' => match self.dollar(Quote::Bare)? {
                Some(mut all) => {
                    self.close_text(parts);
                    parts.all.append(&mut all);
                }
                None => parts.letter('$', at),
            },
            '*' | '?' | '[' | '+' | '@' | '!' => match self.glob(letter)? {
                Some(end) => {
                    self.close_text(parts);
                    let text = self.text.get(at..end).unwrap_or_default().to_owned();
                    self.at = end;
                    parts.all.push(Part { kind: PartKind::Glob(text), quote: Quote::Bare, at: self.place(at) });
                }
                None => self.letter(parts),
            },
            '~' if at == start => {
                self.at += 1;
                let rest = self.rest();
                let end = rest.find(|next: char| !(next.is_ascii_alphanumeric() || "_-.".contains(next)));
                let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().to_owned();
                self.at += name.len();
                parts.all.push(Part { kind: PartKind::Tilde(name), quote: Quote::Bare, at: self.place(at) });
            }
            '{' => match self.brace()? {
                Some(end) => {
                    self.close_text(parts);
                    let text = self.text.get(at..end).unwrap_or_default().to_owned();
                    self.at = end;
                    parts.all.push(Part { kind: PartKind::Brace(text), quote: Quote::Bare, at: self.place(at) });
                }
                None => self.letter(parts),
            },
            _ => self.letter(parts),
        }
        Ok(())
    }

    pub(super) fn letter(&mut self, parts: &mut Parts) {
        let at = self.at;
        if let Some(letter) = self.next() {
            parts.letter(letter, at);
        }
    }

    pub(super) fn quoted_piece(&mut self, letter: char, parts: &mut Parts) -> Read<()> {
        let at = self.at;
        self.at += 1;
        match letter {
            '\\' => {
                let text = match self.next() {
                    Some('\n') => return Ok(()),
                    Some(escaped) => escaped.to_string(),
                    None => "\\".to_owned(),
                };
                parts.all.push(Part { kind: PartKind::Text(text), quote: Quote::Escaped, at: self.place(at) });
            }
            '\'' => {
                let Some(length) = self.rest().find('\'') else {
                    return Err(self.unreadable("nothing closes the '", at));
                };
                let text = self.rest().get(..length).unwrap_or_default().to_owned();
                self.at += length;
                parts.all.push(Part { kind: PartKind::Text(text), quote: Quote::Single, at: self.place(at + 1) });
                self.at += 1;
            }
            '"' => parts.all.append(&mut self.double(at)?),
            _ => parts.all.push(self.backticks(at, Quote::Bare)?),
        }
        Ok(())
    }

    /// Behind `"`, to the next one and over it.
    pub(super) fn double(&mut self, start: usize) -> Read<Vec<Part>> {
        let mut parts = Parts::default();
        let from = self.at;
        loop {
            let at = self.at;
            match self.peek() {
                None => return Err(self.unreadable("nothing closes the \"", start)),
                Some('"') => {
                    parts.close(self.source, Quote::Double);
                    if parts.all.is_empty() {
                        let at = self.place(from);
                        parts.all.push(Part { kind: PartKind::Text(String::new()), quote: Quote::Double, at });
                    }
                    self.at += 1;
                    return Ok(parts.all);
                }
                Some('\\') => {
                    self.at += 1;
                    match self.next() {
                        Some('\n') => {}
                        Some(escaped @ ('"' | '$' | '`' | '\\')) => {
                            parts.letter(escaped, at);
                            parts.to = self.at;
                        }
                        Some(other) => {
                            parts.letter('\\', at);
                            parts.letter(other, at + 1);
                        }
                        None => {}
                    }
                }
                Some(letter) => self.double_piece(letter, &mut parts)?,
            }
        }
    }

    fn double_piece(&mut self, letter: char, parts: &mut Parts) -> Read<()> {
        let at = self.at;
        match letter {
            '$' => match self.dollar(Quote::Double)? {
                Some(mut all) => {
                    parts.close(self.source, Quote::Double);
                    parts.all.append(&mut all);
                }
                None => parts.letter('$', at),
            },
            '`' => {
                self.at += 1;
                parts.close(self.source, Quote::Double);
                parts.all.push(self.backticks(at, Quote::Double)?);
            }
            _ => self.letter(parts),
        }
        Ok(())
    }

    /// Where a pattern that begins here ends; none where the letter means itself.
    fn glob(&mut self, letter: char) -> Read<Option<usize>> {
        let rest = self.rest();
        if EXTENDED.contains(&letter) && rest.get(1..).is_some_and(|next| next.starts_with('(')) {
            let end = closing(rest, '(', ')');
            self.pay(end.unwrap_or(rest.len()))?;
            return Ok(end.map(|end| self.at + end));
        }
        Ok(match letter {
            '*' | '?' => Some(self.at + 1),
            '[' => {
                let stop = plain(rest);
                self.pay(stop)?;
                let set = rest.get(..stop).and_then(|set| set.get(2..)?.find(']').map(|at| at + 3));
                set.map(|end| self.at + end)
            }
            _ => None,
        })
    }

    /// Where `{a,b}` or `{1..9}` ends.
    fn brace(&mut self) -> Read<Option<usize>> {
        let rest = self.rest();
        let stop = plain(rest);
        self.pay(stop)?;
        let Some(end) = rest.get(..stop).and_then(|within| closing(within, '{', '}')) else { return Ok(None) };
        let within = rest.get(..end).unwrap_or_default();
        Ok((within.contains(',') || within.contains("..")).then_some(self.at + end))
    }

    /// Is a parenthesis here that of an array: `local a=(…)`?
    fn is_array(&self, parts: &Parts) -> bool {
        parts.open.ends_with('=') && calls::is_name(parts.open.trim_end_matches(['=', '+']))
    }

    fn array(&mut self, parts: &mut Parts) -> Read<()> {
        let start = self.at;
        self.at += 1;
        let elements = self.elements(start)?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        if elements.iter().any(Word::is_dynamic) {
            self.close_text(parts);
            parts.all.extend(elements.into_iter().flat_map(|word| word.parts));
        } else {
            parts.text(text, start);
        }
        Ok(())
    }

    /// A regular expression behind `=~`: up to a blank outside quotes and parentheses.
    pub(super) fn pattern(&mut self) -> Read<Word> {
        let start = self.at;
        let mut parts = Parts::default();
        let mut open = 0_usize;
        while let Some(letter) = self.peek() {
            let at = self.at;
            match letter {
                _ if letter.is_whitespace() && open == 0 => break,
                '\n' => return Err(self.unreadable("]] is missing", start)),
                '\\' | '\'' | '"' | '`' => {
                    self.close_text(&mut parts);
                    self.quoted_piece(letter, &mut parts)?;
                    continue;
                }
                '$' => {
                    match self.dollar(Quote::Bare)? {
                        Some(mut all) => {
                            self.close_text(&mut parts);
                            parts.all.append(&mut all);
                        }
                        None => parts.letter('$', at),
                    }
                    continue;
                }
                '(' => open += 1,
                ')' => open = open.saturating_sub(1),
                _ => {}
            }
            self.letter(&mut parts);
        }
        self.close_text(&mut parts);
        let raw = self.text.get(start..self.at).unwrap_or_default().to_owned();
        Ok(Word { raw, parts: parts.all, at: self.place(start) })
    }
}

/// How many bytes stand before what ends a word, quotes or expands.
fn plain(text: &str) -> usize {
    let ends = |byte: u8| {
        byte <= b' '
            || matches!(byte, b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' | b'\'' | b'"' | b'$' | b'`' | b'\\')
    };
    text.bytes().position(ends).unwrap_or(text.len())
}

/// Where the bracket that a text begins with (or has as its second letter) is closed: behind it.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + letter.len_utf8());
            }
        }
    }
    None
}
