//! What `$` and backticks begin: variables and substitutions.

use std::ops::Range;

use super::parse::{Parser, Read};
use super::word::Parts;
use super::{Dialect, Part, PartKind, Quote, Script, Source, Variable, Word};

/// Operators of `${name…}`, the longer ones first.
const OPERATORS: [&str; 20] =
    [":-", ":=", ":?", ":+", "-", "=", "?", "+", "%%", "%", "##", "#", "//", "/", "^^", "^", ",,", ",", "@", ":"];

impl Parser<'_, '_> {
    /// At `$`: what it begins; none where it is a character like any other, which is then taken.
    pub(super) fn dollar(&mut self, quote: Quote) -> Read<Option<Vec<Part>>> {
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
    pub(super) fn process(&mut self) -> Read<Part> {
        let start = self.at;
        self.at += 2;
        let list = self.list()?;
        if !self.take(")") {
            return Err(self.unreadable("nothing closes the <(", start));
        }
        Ok(Part { kind: PartKind::Process(list), quote: Quote::Bare, at: self.place(start) })
    }

    /// Behind a backtick: its text, without what escapes in it, is read as a list of its own.
    pub(super) fn backticks(&mut self, start: usize, quote: Quote) -> Read<Part> {
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

    pub(super) fn list_of(&mut self, inner: &Source, dialect: Dialect) -> Read<Script> {
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

    /// Variables and substitutions in a text where quotes mean nothing. It is read as if nothing stood behind it, and whether it
    /// can be read or not, all is as it was before.
    pub(super) fn embedded(&mut self, range: Range<usize>) -> Read<Vec<Part>> {
        let (text, back, depth) = (self.text, self.at, self.depth);
        self.text = text.get(..range.end).unwrap_or(text);
        self.at = range.start;
        let parts = self.embedded_until(range.end);
        (self.text, self.at, self.depth) = (text, back, depth);
        parts
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
}

impl Variable {
    fn plain(name: String) -> Self {
        Self { name, length: false, indirect: false, braces: false, subscript: None, operator: None, argument: None }
    }
}
