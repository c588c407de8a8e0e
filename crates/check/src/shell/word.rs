//! Words: quotes, variables, substitutions, globs.

use std::ops::Range;

use super::parse::{Parser, Read};
use super::{Dialect, calls};
use super::{List, Part, PartKind, Quote, Script, Simple, Source, Variable, Word};

/// What ends a word where nothing quotes it.
const ENDS: [char; 12] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}', ';', '&', '|', '(', ')', '<'];
/// Behind which a `(` is bash's way to write patterns.
const EXTENDED: [char; 5] = ['?', '*', '+', '@', '!'];
/// Operators of `${name…}`, the longer ones first.
const OPERATORS: [&str; 20] =
    [":-", ":=", ":?", ":+", "-", "=", "?", "+", "%%", "%", "##", "#", "//", "/", "^^", "^", ",,", ",", "@", ":"];

/// A word under way.
#[derive(Default)]
struct Parts {
    all: Vec<Part>,
    /// Bare text that is not yet a part, and where it begins.
    open: String,
    from: usize,
    to: usize,
}

impl Parts {
    fn letter(&mut self, letter: char, at: usize) {
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

    fn close_text(&self, parts: &mut Parts) {
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

    fn letter(&mut self, parts: &mut Parts) {
        let at = self.at;
        if let Some(letter) = self.next() {
            parts.letter(letter, at);
        }
    }

    fn quoted_piece(&mut self, letter: char, parts: &mut Parts) -> Read<()> {
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
    fn double(&mut self, start: usize) -> Read<Vec<Part>> {
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

    /// At `$`: what it begins; none where it is a character like any other, which is then taken.
    fn dollar(&mut self, quote: Quote) -> Read<Option<Vec<Part>>> {
        let start = self.at;
        self.at += 1;
        let part = |kind, at| Ok(Some(vec![Part { kind, quote, at }]));
        match self.peek() {
            Some('(') => {
                let kind = self.parenthesis(start)?;
                part(kind, self.place(start))
            }
            Some('{') => {
                self.at += 1;
                let variable = self.braces(start)?;
                part(PartKind::Variable(variable), self.place(start))
            }
            Some('\'') if quote == Quote::Bare => self.dollar_single(start).map(|part| Some(vec![part])),
            Some('"') if quote == Quote::Bare => {
                self.at += 1;
                self.double(start + 1).map(Some)
            }
            Some(_) => match self.name() {
                Some(name) => part(PartKind::Variable(Variable::plain(name)), self.place(start)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// bash's `$'…'`, whose escapes stay as they are written.
    fn dollar_single(&mut self, start: usize) -> Read<Part> {
        self.at += 1;
        let from = self.at;
        loop {
            match self.next() {
                Some('\'') => break,
                Some('\\') => drop(self.next()),
                Some(_) => {}
                None => return Err(self.unreadable("nothing closes the '", start)),
            }
        }
        let end = self.at.saturating_sub(1);
        let text = self.text.get(from..end).unwrap_or_default().to_owned();
        Ok(Part { kind: PartKind::Text(text), quote: Quote::Dollar, at: self.source.place(from..end) })
    }

    fn parenthesis(&mut self, start: usize) -> Read<PartKind> {
        if self.sees("((")
            && let Some(end) = self.arithmetic_end(self.at + 2)?
        {
            return self.arithmetic(self.at + 2..end).map(PartKind::Arithmetic);
        }
        self.at += 1;
        let list = self.list()?;
        if !self.take(")") {
            return Err(self.unreadable("nothing closes the $(", start));
        }
        Ok(PartKind::Substitution { list, backticks: false })
    }

    /// `<(…)`.
    fn process(&mut self) -> Read<Part> {
        let start = self.at;
        self.at += 2;
        let list = self.list()?;
        if !self.take(")") {
            return Err(self.unreadable("nothing closes the <(", start));
        }
        Ok(Part { kind: PartKind::Process(list), quote: Quote::Bare, at: self.place(start) })
    }

    /// Behind a backtick: its text, without what escapes in it, is read as a list of its own.
    fn backticks(&mut self, start: usize, quote: Quote) -> Read<Part> {
        let mut inner = Source::default();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(self.unreadable("nothing closes the `", start)),
                Some('`') => break,
                Some('\\') => match self.peek() {
                    Some(next @ ('`' | '$' | '\\')) => self.inner_letter(&mut inner, next),
                    Some('"') if quote == Quote::Double => self.inner_letter(&mut inner, '"'),
                    _ => inner.add("\\", self.source.source(at)),
                },
                Some(letter) => inner.add(letter.encode_utf8(&mut [0; 4]), self.source.source(at)),
            }
        }
        let list = self.list_of(&inner, self.dialect)?.list;
        let at = self.place(start);
        Ok(Part { kind: PartKind::Substitution { list, backticks: true }, quote, at })
    }

    fn inner_letter(&mut self, inner: &mut Source, letter: char) {
        inner.add(letter.encode_utf8(&mut [0; 4]), self.source.source(self.at));
        self.at += letter.len_utf8();
    }

    fn list_of(&mut self, inner: &Source, dialect: Dialect) -> Read<Script> {
        self.pay(inner.text().len())?;
        self.enter()?;
        let script = Parser::new(inner, dialect, self.depth, self.work).script();
        self.leave();
        script
    }

    /// The name of a variable, special ones with it.
    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        let length = match first {
            '@' | '*' | '#' | '?' | '-' | '$' | '!' => 1,
            '0'..='9' => 1,
            'a'..='z' | 'A'..='Z' | '_' => {
                rest.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(rest.len())
            }
            _ => return None,
        };
        self.at += length;
        rest.get(..length).map(str::to_owned)
    }

    /// Behind `${`, to the `}` and over it.
    fn braces(&mut self, start: usize) -> Read<Variable> {
        self.enter()?;
        let mut variable = Variable { braces: true, ..Variable::plain(String::new()) };
        if self.sees("#") && !self.sees("#}") && !self.sees("#-") && !self.sees("##") {
            self.at += 1;
            variable.length = true;
        } else if self.sees("!") && !self.sees("!}") {
            self.at += 1;
            variable.indirect = true;
        }
        variable.name = match self.rest().chars().next().filter(char::is_ascii_digit) {
            Some(_) => self.digits(),
            None => self.name().ok_or_else(|| self.unreadable("${ without a name", start))?,
        };
        if self.take("[") {
            let found = self.rest().find(']');
            self.pay(found.unwrap_or(self.rest().len()))?;
            let length = found.unwrap_or(0);
            variable.subscript = self.rest().get(..length).map(str::to_owned);
            self.at += length;
            self.take("]");
        }
        if variable.indirect && (self.sees("*}") || self.sees("@}")) {
            self.at += 1;
        }
        if !self.sees("}") {
            let operator = OPERATORS.into_iter().find(|operator| self.sees(operator));
            let operator = operator.ok_or_else(|| self.unreadable("${ with an operator that no shell has", start))?;
            self.at += operator.len();
            variable.operator = Some(operator.to_owned());
            variable.argument = Some(Box::new(self.argument(start)?));
        }
        if !self.take("}") {
            return Err(self.unreadable("nothing closes the ${", start));
        }
        self.leave();
        Ok(variable)
    }

    fn digits(&mut self) -> String {
        let rest = self.rest();
        let length = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default().to_owned()
    }

    /// Behind an operator of `${name…}`, up to the `}`.
    fn argument(&mut self, start: usize) -> Read<Word> {
        let from = self.at;
        let mut parts = Parts::default();
        loop {
            let at = self.at;
            match self.peek() {
                None => return Err(self.unreadable("nothing closes the ${", start)),
                Some('}') => break,
                Some(letter @ ('\\' | '\'' | '"' | '`')) => {
                    self.close_text(&mut parts);
                    // Within double quotes a ' means nothing: where nothing closes it, it is read so.
                    let is_closed = |rest: &str| {
                        let next = rest.find(['}', '\'']).and_then(|next| rest.get(next..));
                        next.is_some_and(|next| next.starts_with('\''))
                    };
                    if letter == '\'' && !self.rest().get(1..).is_some_and(is_closed) {
                        self.letter(&mut parts);
                        continue;
                    }
                    self.quoted_piece(letter, &mut parts)?;
                }
                Some('$') => match self.dollar(Quote::Bare)? {
                    Some(mut all) => {
                        self.close_text(&mut parts);
                        parts.all.append(&mut all);
                    }
                    None => parts.letter('$', at),
                },
                Some(_) => self.letter(&mut parts),
            }
        }
        self.close_text(&mut parts);
        let raw = self.text.get(from..self.at).unwrap_or_default().to_owned();
        Ok(Word { raw, parts: parts.all, at: self.place(from) })
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

    /// Variables and substitutions in a text where quotes mean nothing.
    pub(super) fn embedded(&mut self, range: Range<usize>) -> Read<Vec<Part>> {
        let back = self.at;
        self.at = range.start;
        let parts = self.embedded_until(range.end);
        let beyond = self.at > range.end;
        self.at = back;
        if beyond { Err(self.unreadable("it does not end where it has to", range.start)) } else { parts }
    }

    fn embedded_until(&mut self, end: usize) -> Read<Vec<Part>> {
        let mut all = Vec::new();
        while self.at < end {
            let at = self.at;
            match self.peek() {
                Some('$') => all.extend(self.dollar(Quote::Double)?.into_iter().flatten()),
                Some('`') => {
                    self.at += 1;
                    all.push(self.backticks(at, Quote::Double)?);
                }
                Some('\\') => {
                    self.at += 1;
                    self.next();
                }
                Some(_) => drop(self.next()),
                None => break,
            }
        }
        Ok(all)
    }

    /// A text of the script into one of its own, each byte with its place if it stands there as it is meant.
    fn copy(&self, inner: &mut Source, text: &str, at: Range<usize>) {
        let start = self.source.back(at.start);
        let end = start.map(|start| start + text.len());
        match start.zip(end).filter(|(start, end)| self.text.get(*start..*end) == Some(text)) {
            Some((start, end)) => inner.copy(self.source, start..end),
            None => inner.add(text, at.start),
        }
    }

    /// What `sh -c '…'` runs.
    pub(super) fn inner(&mut self, simple: &Simple) -> Read<Option<Script>> {
        let words = simple.words.get(calls::unwrapped(&simple.words)..).unwrap_or_default();
        let Some(dialect) = words.first().and_then(Word::literal).and_then(|name| Dialect::of(&name)) else {
            return Ok(None);
        };
        let Some(text) = script_of(words) else { return Ok(None) };
        let mut inner = Source::default();
        for part in &text.parts {
            match (&part.kind, part.quote) {
                (PartKind::Text(text), Quote::Single | Quote::Bare | Quote::Escaped | Quote::Double) => {
                    self.copy(&mut inner, text, part.at.clone());
                }
                _ => return Ok(None),
            }
        }
        // What is no script for us may be one for its shell.
        Ok(self.list_of(&inner, dialect).ok())
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

/// The text behind `-c`, also in `-exc`.
fn script_of(words: &[Word]) -> Option<&Word> {
    let is_command = |word: &Word| {
        word.literal().is_some_and(|text| {
            text.len() > 1 && !text.starts_with("--") && text.starts_with('-') && text.ends_with('c')
        })
    };
    let at = words.iter().position(is_command)?;
    let options = words
        .get(1..at)?
        .iter()
        .all(|word| word.literal().is_some_and(|text| text.starts_with(['-', '+']) || text == "pipefail"));
    words.get(at + 1).filter(|_| options)
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

impl Variable {
    fn plain(name: String) -> Self {
        Self { name, length: false, indirect: false, braces: false, subscript: None, operator: None, argument: None }
    }
}

impl List {
    /// Has it no command?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
