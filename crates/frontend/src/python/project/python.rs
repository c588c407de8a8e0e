//! Reading Python without running it: constants at the top of a module, and setup.py files that only call `setup()`.
//!
//! Tokens and logical lines are enough for that; a value is a literal or it is not known.

use super::config::MOST_ITEMS;
use super::folder::Text;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    /// A string, its escapes resolved.
    Text(String),
    Number(String),
    Sign(char),
    /// An f-string or bytes: no text that is known.
    Computed,
}

/// One simple statement, or the head of a compound one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Counted from 1.
    pub line: usize,
    /// Columns in front of it.
    pub indent: usize,
    pub tokens: Vec<Token>,
}

/// A value that stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Nothing,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Literal>),
    Table(Vec<(Literal, Literal)>),
    /// `find_packages(…)` as an argument of `setup()`.
    Find {
        namespaces: bool,
        arguments: Vec<(String, Literal)>,
    },
}

impl Literal {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A version: a text, or numbers and texts joined by dots.
    pub fn version(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            Self::List(items) => items.iter().map(Self::version).collect::<Option<Vec<_>>>().map(|all| all.join(".")),
            _ => None,
        }
    }

    pub fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Text(text) => Some(vec![text.clone()]),
            Self::List(items) if items.len() > MOST_ITEMS => None,
            Self::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            _ => None,
        }
    }
}

/// What a name stands for in a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constant {
    Value(Literal),
    /// Line of an assignment whose value is not a literal.
    Computed(usize),
    /// `from module import name`: dots in front are kept.
    Imported {
        module: String,
        name: String,
    },
}

/// Nesting of brackets that is followed.
const DEEPEST: usize = 60;

/// The first or last assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Last,
}

/// What `name` is at the top of a module.
pub(super) fn constant(text: &Text, name: &str, which: Which) -> Option<Constant> {
    let statements = statements(&text.text);
    let mut found = statements.iter().filter(|statement| statement.indent == 0).filter_map(|statement| {
        let value = assigned(&statement.tokens, name)?;
        Some(match literal(value) {
            Some(literal) => Constant::Value(literal),
            None => Constant::Computed(statement.line),
        })
    });
    let assigned = if which == Which::First { found.next() } else { found.next_back() };
    assigned.or_else(|| statements.iter().rev().find_map(|statement| imported(&statement.tokens, name)))
}

/// The module's docstring.
pub(super) fn docstring(text: &Text) -> Option<String> {
    let first = statements(&text.text).into_iter().next()?;
    match literal(&first.tokens)? {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// The tokens behind `name =`, `name: type =` or `other = name =`.
fn assigned<'t>(tokens: &'t [Token], name: &str) -> Option<&'t [Token]> {
    let mut rest = tokens;
    let mut hit = false;
    while let [Token::Name(target), behind @ ..] = rest {
        let behind = match behind {
            [Token::Sign(':'), annotation @ ..] => {
                let at = annotation.iter().position(|token| *token == Token::Sign('='))?;
                annotation.get(at..)?
            }
            behind => behind,
        };
        let Some((Token::Sign('='), value)) = behind.split_first() else { break };
        if value.first() == Some(&Token::Sign('=')) {
            return None;
        }
        hit |= target == name;
        rest = value;
    }
    hit.then_some(rest)
}

fn imported(tokens: &[Token], name: &str) -> Option<Constant> {
    let (Token::Name(from), rest) = tokens.split_first()? else { return None };
    let at = rest.iter().position(|token| *token == Token::Name("import".to_owned()))?;
    let (module, names) = rest.split_at(at);
    if from != "from" {
        return None;
    }
    let module: String = module.iter().map(spelled).collect();
    let names = names.get(1..)?.iter().filter(|token| !matches!(token, Token::Sign('(' | ')')));
    let names: Vec<&Token> = names.collect();
    names.split(|token| **token == Token::Sign(',')).find_map(|item| match item {
        [Token::Name(own)] if own == name => Some(Constant::Imported { module: module.clone(), name: own.clone() }),
        [Token::Name(own), Token::Name(word), Token::Name(local)] if word == "as" && local == name => {
            Some(Constant::Imported { module: module.clone(), name: own.clone() })
        }
        _ => None,
    })
}

fn spelled(token: &Token) -> String {
    match token {
        Token::Name(name) => name.clone(),
        Token::Sign(sign) => sign.to_string(),
        _ => String::new(),
    }
}

/// The value of an expression that is a literal as a whole.
pub(super) fn literal(tokens: &[Token]) -> Option<Literal> {
    let (value, rest) = items(tokens, None, 0)?;
    rest.is_empty().then_some(value)
}

/// An expression, or a tuple without brackets.
fn items(tokens: &[Token], close: Option<char>, depth: usize) -> Option<(Literal, &[Token])> {
    let (mut list, mut rest, mut comma) = (Vec::new(), tokens, false);
    loop {
        if let Some((Token::Sign(sign), behind)) = rest.split_first()
            && Some(*sign) == close
        {
            let lone = list.len() == 1 && !comma && close == Some(')');
            let value = if lone { list.pop()? } else { Literal::List(list) };
            return Some((value, behind));
        }
        if rest.is_empty() {
            let lone = list.len() == 1 && !comma;
            let value = if lone { list.pop()? } else { Literal::List(list) };
            return (close.is_none() && (lone || comma)).then_some((value, rest));
        }
        let (value, behind) = one(rest, depth)?;
        list.push(value);
        (comma, rest) = match behind.split_first() {
            Some((Token::Sign(','), behind)) => (true, behind),
            _ => (false, behind),
        };
        let ended = rest.is_empty() || matches!((rest.first(), close), (Some(Token::Sign(s)), Some(c)) if *s == c);
        if !comma && !ended {
            return None;
        }
    }
}

fn one(tokens: &[Token], depth: usize) -> Option<(Literal, &[Token])> {
    if depth > DEEPEST {
        return None;
    }
    let (first, rest) = tokens.split_first()?;
    match first {
        Token::Text(text) => Some(joined(text, rest)),
        Token::Number(number) => Some((Literal::Number(number.clone()), rest)),
        Token::Name(name) => {
            let value = match name.as_str() {
                "None" => Literal::Nothing,
                "True" => Literal::Flag(true),
                "False" => Literal::Flag(false),
                _ => return None,
            };
            Some((value, rest))
        }
        Token::Sign('-') => match rest.split_first()? {
            (Token::Number(number), rest) => Some((Literal::Number(format!("-{number}")), rest)),
            _ => None,
        },
        Token::Sign('(') => items(rest, Some(')'), depth + 1),
        Token::Sign('[') => items(rest, Some(']'), depth + 1),
        Token::Sign('{') => table(rest, depth + 1),
        Token::Sign(_) | Token::Computed => None,
    }
}

/// Strings side by side are one.
fn joined<'t>(first: &str, mut rest: &'t [Token]) -> (Literal, &'t [Token]) {
    let mut text = first.to_owned();
    while let Some((Token::Text(more), behind)) = rest.split_first() {
        text.push_str(more);
        rest = behind;
    }
    (Literal::Text(text), rest)
}

fn table(mut rest: &[Token], depth: usize) -> Option<(Literal, &[Token])> {
    let mut entries = Vec::new();
    loop {
        if let Some((Token::Sign('}'), behind)) = rest.split_first() {
            return Some((Literal::Table(entries), behind));
        }
        let (key, behind) = one(rest, depth)?;
        let (Token::Sign(':'), behind) = behind.split_first()? else { return None };
        let (value, behind) = one(behind, depth)?;
        entries.push((key, value));
        rest = match behind.split_first()? {
            (Token::Sign(','), behind) => behind,
            (Token::Sign('}'), _) => behind,
            _ => return None,
        };
    }
}

/// `name=value` arguments of a call, from behind its opening bracket; none if anything is not a literal. An `Err` names
/// the argument that is not.
pub(super) fn keywords(mut rest: &[Token]) -> Result<Vec<(String, Literal)>, String> {
    let mut found = Vec::new();
    loop {
        rest = match rest {
            [Token::Sign(')')] => return Ok(found),
            [Token::Name(name), Token::Sign('='), value @ ..] => {
                let (value, behind) = finder(value).or_else(|| one(value, 0)).ok_or_else(|| format!("{name}=…"))?;
                found.push((name.clone(), value));
                match behind {
                    [Token::Sign(','), behind @ ..] => behind,
                    [Token::Sign(')'), ..] => behind,
                    _ => return Err(format!("{name}=…")),
                }
            }
            [first, ..] => return Err(spelled(first)),
            [] => return Err("a bracket that is not closed".to_owned()),
        };
    }
}

/// `find_packages("src", exclude=["tests"])`: its arguments are literals.
fn finder(tokens: &[Token]) -> Option<(Literal, &[Token])> {
    const POSITIONS: [&str; 3] = ["where", "exclude", "include"];
    let tokens = match tokens {
        [Token::Name(module), Token::Sign('.'), rest @ ..] if module == "setuptools" => rest,
        tokens => tokens,
    };
    let (namespaces, mut rest) = match tokens {
        [Token::Name(name), Token::Sign('('), rest @ ..] if name == "find_packages" => (false, rest),
        [Token::Name(name), Token::Sign('('), rest @ ..] if name == "find_namespace_packages" => (true, rest),
        _ => return None,
    };
    let mut arguments = Vec::new();
    loop {
        let (name, value) = match rest {
            [Token::Sign(')'), behind @ ..] => return Some((Literal::Find { namespaces, arguments }, behind)),
            [Token::Name(name), Token::Sign('='), value @ ..] => (name.clone(), value),
            value => ((*POSITIONS.get(arguments.len())?).to_owned(), value),
        };
        let (value, behind) = one(value, 0)?;
        arguments.push((name, value));
        rest = match behind {
            [Token::Sign(','), behind @ ..] => behind,
            [Token::Sign(')'), ..] => behind,
            _ => return None,
        };
    }
}

/// Statements in their order.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut lexer =
        Lexer { rest: text, line: 1, depth: 0, done: Vec::new(), tokens: Vec::new(), start: (1, 0), fresh: true };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.end();
    lexer.done
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    /// Of brackets.
    depth: usize,
    done: Vec<Statement>,
    tokens: Vec<Token>,
    /// Line and indent of the statement.
    start: (usize, usize),
    /// At the beginning of a line that is not within brackets.
    fresh: bool,
}

impl<'t> Lexer<'t> {
    fn step(&mut self) {
        if self.fresh {
            self.indent();
        }
        let Some(next) = self.rest.chars().next() else { return };
        match next {
            '\n' => self.newline(),
            '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            '\\' if self.rest[1..].trim_start_matches('\r').starts_with('\n') => {
                self.line += 1;
                self.skip(self.rest.find('\n').map_or(1, |at| at + 1));
            }
            ';' if self.depth == 0 => {
                self.skip(1);
                let indent = self.start.1;
                self.end();
                self.start = (self.line, indent);
            }
            _ if next.is_whitespace() => self.skip(next.len_utf8()),
            '"' | '\'' => self.string(""),
            _ if next.is_ascii_digit() => self.number(),
            _ if next.is_alphabetic() || next == '_' => self.name(),
            _ => self.sign(next),
        }
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, length: usize) {
        self.take(length);
    }

    fn indent(&mut self) {
        let bare = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
        let columns = self.rest.len() - bare.len();
        self.rest = bare;
        self.start = (self.line, columns);
        self.fresh = false;
    }

    fn newline(&mut self) {
        self.skip(1);
        self.line += 1;
        if self.depth == 0 {
            self.end();
            self.fresh = true;
        }
    }

    fn end(&mut self) {
        if !self.tokens.is_empty() {
            let tokens = std::mem::take(&mut self.tokens);
            self.done.push(Statement { line: self.start.0, indent: self.start.1, tokens });
        }
    }

    fn sign(&mut self, sign: char) {
        match sign {
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.skip(sign.len_utf8());
        self.tokens.push(Token::Sign(sign));
    }

    fn number(&mut self) {
        let inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_');
        let length = self.rest.find(|letter| !inner(letter)).unwrap_or(self.rest.len());
        let number = self.take(length).replace('_', "");
        self.tokens.push(Token::Number(number));
    }

    fn name(&mut self) {
        let inner = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = self.rest.find(|letter| !inner(letter)).unwrap_or(self.rest.len());
        let name = self.take(length);
        if name.len() <= 2 && self.rest.starts_with(['"', '\'']) && is_prefix(name) {
            return self.string(name);
        }
        self.tokens.push(Token::Name(name.to_owned()));
    }

    fn string(&mut self, prefix: &str) {
        let quote = if self.rest.starts_with('"') { '"' } else { '\'' };
        let long = quote.to_string().repeat(3);
        let closing = if self.rest.starts_with(&long) { long } else { quote.to_string() };
        self.skip(closing.len());
        let length = end_of_string(self.rest, &closing);
        let inner = self.take(length);
        self.line += inner.matches('\n').count();
        let closed = self.rest.len().min(closing.len());
        if self.rest.starts_with(&closing) {
            self.skip(closed);
        }
        let prefix = prefix.to_ascii_lowercase();
        self.tokens.push(if prefix.contains(['f', 'b', 't']) {
            Token::Computed
        } else if prefix.contains('r') {
            Token::Text(inner.to_owned())
        } else {
            unescape(inner).map_or(Token::Computed, Token::Text)
        });
    }
}

fn is_prefix(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "r" | "u" | "b" | "f" | "t" | "br" | "rb" | "fr" | "rf" | "tr" | "rt")
}

/// Bytes up to the closing quotes; a short string that is not closed ends with its line.
fn end_of_string(text: &str, closing: &str) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(closing) || (next == '\n' && closing.len() == 1) {
            return at;
        }
        at += next.len_utf8();
        if next == '\\' {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    at
}

/// Resolves escapes; none for those that nobody writes in versions.
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut letters = behind.chars();
        match letters.next()? {
            '\n' => {}
            'n' => plain.push('\n'),
            't' => plain.push('\t'),
            'r' => plain.push('\r'),
            letter @ ('\\' | '\'' | '"') => plain.push(letter),
            'x' => {
                plain.push(char::from(u8::from_str_radix(behind.get(1..3)?, 16).ok()?));
                letters = behind.get(3..)?.chars();
            }
            'u' => {
                plain.push(char::from_u32(u32::from_str_radix(behind.get(1..5)?, 16).ok()?)?);
                letters = behind.get(5..)?.chars();
            }
            '0'..='7' | 'a' | 'b' | 'f' | 'v' | 'N' | 'U' => return None,
            other => plain.extend(['\\', other]),
        }
        rest = letters.as_str();
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Text {
        Text { path: "m.py".into(), text: code.into() }
    }

    fn version(code: &str) -> Option<Constant> {
        constant(&of(code), "__version__", Which::First)
    }

    fn text(text: &str) -> Option<Constant> {
        Some(Constant::Value(Literal::Text(text.to_owned())))
    }

    #[test]
    fn constants_of_every_shape() {
        assert_eq!(version("__version__ = '1.2'"), text("1.2"));
        assert_eq!(version("'''doc\n__version__ = 'no'\n'''\n__version__: str = \"1\" '.2' # x"), text("1.2"));
        assert_eq!(version("if x:\n    __version__ = '0'\nversion = __version__ = r'1\\2'"), text("1\\2"));
        assert_eq!(version("a = 1; __version__ = (\n  'x'\n)\n"), text("x"));
        assert_eq!(version("__version__ = '\\x31\\u0032\\\n3'"), text("123"));
        assert_eq!(version("__version__ == '1'"), None);
        assert_eq!(version("x = 1\n__version__ = f'{x}'"), Some(Constant::Computed(2)));
        assert_eq!(version("__version__ = get()"), Some(Constant::Computed(1)));
        assert_eq!(version("__version__ = '1' + '2'"), Some(Constant::Computed(1)));
        let imported = |module: &str, name: &str| Some(Constant::Imported { module: module.into(), name: name.into() });
        assert_eq!(version("from .a.b import (x, y as __version__,)"), imported(".a.b", "y"));
        assert_eq!(
            version("try:\n    from ._v import __version__\nexcept ImportError: pass"),
            imported("._v", "__version__")
        );
    }

    #[test]
    fn tuples_are_versions() {
        let Some(Constant::Value(value)) = version("__version__ = (1, 2, 'rc1')") else { panic!("a value") };
        assert_eq!(value.version().unwrap(), "1.2.rc1");
        let Some(Constant::Value(value)) = version("__version__ = 1, 2,") else { panic!("a value") };
        assert_eq!(value.version().unwrap(), "1.2");
    }

    #[test]
    fn hostile_code_ends() {
        for code in ["(".repeat(100_000), "'''".to_owned(), "x = [".repeat(5000), "\\".to_owned(), "é = '\\".to_owned()]
        {
            assert_eq!(constant(&of(&code), "__version__", Which::Last), None);
        }
        let deep = format!("__version__ = {}{}", "(".repeat(500), ")".repeat(500));
        assert_eq!(version(&deep), Some(Constant::Computed(1)));
    }

    #[test]
    fn docstrings_are_the_first_statement() {
        assert_eq!(docstring(&of("# c\n\"\"\"A\nb\"\"\"\nx = 1")).unwrap(), "A\nb");
        assert_eq!(docstring(&of("x = 1\n'no'")), None);
    }
}
