//! Variables in words: `$name` and `${name…}` with every modifier of the Dockerfile language, quotes and escapes.
//!
//! What a text expands to is decided by BuildKit's own lexer, whose answers to 3,000 random texts are this module's tests.
//! It is no shell: patterns know `*`, `?` and escapes alone, there is no arithmetic and no command substitution.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::pattern::{self, Greed};

/// `${a:-${b:-…}}` may nest so deep: each level is a call.
const DEEPEST: usize = 100;

/// Looks up a variable.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    /// `\`, or what `# escape=` says.
    pub escape: char,
    /// Quotes stay in the result.
    pub keep_quotes: bool,
    /// Escapes stay in the result.
    pub keep_escapes: bool,
    /// Variables without a value stay as they are written.
    pub keep_unset: bool,
    /// Quotes mean nothing (the text of a here-document).
    pub plain_quotes: bool,
}

impl Lexer {
    /// As arguments are read.
    pub fn new(escape: char) -> Self {
        Self { escape, keep_quotes: false, keep_escapes: false, keep_unset: false, plain_quotes: false }
    }

    /// Expands a text.
    pub fn expand(self, text: &str, variables: Variables<'_>) -> Result<Expanded, ExpandError> {
        let mut reader = Reader {
            lexer: self,
            rest: text.chars().peekable(),
            variables,
            unset: BTreeSet::new(),
            depth: 0,
            nested: 0,
        };
        let words = reader.until(None, self.keep_escapes)?;
        Ok(Expanded { text: words.text, words: words.finish, unset: reader.unset })
    }
}

/// What a text became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// As one word.
    pub text: String,
    /// Cut at blanks that are not quoted, also at those that come out of variables.
    pub words: Vec<String>,
    /// Variables that were asked for and had no value.
    pub unset: BTreeSet<String>,
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote or brace is not closed.
    #[error("nothing closes the {0}")]
    Open(char),
    /// `${}`, `${:…`.
    #[error("`${{` without a name")]
    NoName,
    /// A modifier that the language does not have.
    #[error("`{0}` is no modifier of a variable")]
    Modifier(String),
    /// `${name:?message}`, and it has no value.
    #[error("{name}: {message}")]
    Demanded {
        /// The variable.
        name: String,
        /// What the Dockerfile says of it.
        message: String,
    },
    /// A pattern that is none.
    #[error("`\\{0}` is no escape of a pattern")]
    Escape(char),
    /// Nested beyond reason.
    #[error("variables are nested more than {DEEPEST} deep")]
    Deep,
}

/// A text and its words under way.
#[derive(Default)]
struct Words {
    text: String,
    finish: Vec<String>,
    word: String,
}

impl Words {
    /// What is not quoted: blanks end a word.
    fn open(&mut self, text: &str) {
        self.text.push_str(text);
        for character in text.chars() {
            if !character.is_whitespace() {
                self.word.push(character);
            } else if !self.word.is_empty() {
                self.finish.push(std::mem::take(&mut self.word));
            }
        }
    }

    /// What is quoted or escaped.
    fn closed(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    /// BuildKit forgets what stands before a modifier in the same word, where words are wanted (`EXPOSE 80${A:-80}` is
    /// 80). Files must mean the same here.
    fn forget(&mut self) {
        self.word.clear();
    }

    fn end(mut self) -> Self {
        if !self.word.is_empty() {
            self.finish.push(std::mem::take(&mut self.word));
        }
        self
    }
}

struct Reader<'t, 'v> {
    lexer: Lexer,
    rest: Peekable<Chars<'t>>,
    variables: Variables<'v>,
    unset: BTreeSet<String>,
    depth: usize,
    /// How many modifiers were read.
    nested: usize,
}

impl Reader<'_, '_> {
    /// Reads until `stop`, which is taken, or to the end.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Words, ExpandError> {
        self.nested += 1;
        let mut words = Words::default();
        while let Some(&next) = self.rest.peek() {
            match next {
                _ if Some(next) == stop => {
                    self.rest.next();
                    return Ok(words.end());
                }
                '$' => {
                    let nested = self.nested;
                    let text = self.dollar()?;
                    if self.nested > nested {
                        words.forget();
                    }
                    words.open(&text);
                }
                '\'' if !self.lexer.plain_quotes => words.closed(&self.single()?),
                '"' if !self.lexer.plain_quotes => words.closed(&self.double(keep_escapes)?),
                _ if next == self.lexer.escape => {
                    self.rest.next();
                    if keep_escapes {
                        words.closed(&next.to_string());
                    }
                    let escaped = self.rest.next().map(String::from).unwrap_or_default();
                    words.closed(&escaped);
                }
                _ => {
                    self.rest.next();
                    words.open(next.encode_utf8(&mut [0; 4]));
                }
            }
        }
        match stop {
            Some(stop) => Err(ExpandError::Open(if stop == '}' { '{' } else { stop })),
            None => Ok(words.end()),
        }
    }

    /// `'…'`: nothing in it means anything.
    fn single(&mut self) -> Result<String, ExpandError> {
        self.rest.next();
        let mut text = self.quote('\'');
        loop {
            match self.rest.next() {
                Some('\'') => break,
                Some(other) => text.push(other),
                None => return Err(ExpandError::Open('\'')),
            }
        }
        text.push_str(&self.quote('\''));
        Ok(text)
    }

    /// `"…"`: variables, and escapes of what would mean something.
    fn double(&mut self, keep_escapes: bool) -> Result<String, ExpandError> {
        self.rest.next();
        let mut text = self.quote('"');
        loop {
            match self.rest.peek().copied() {
                None => return Err(ExpandError::Open('"')),
                Some('"') => break,
                Some('$') => text.push_str(&self.dollar()?),
                Some(other) => {
                    self.rest.next();
                    text.push_str(&self.quoted(other, keep_escapes));
                }
            }
        }
        self.rest.next();
        text.push_str(&self.quote('"'));
        Ok(text)
    }

    fn quoted(&mut self, character: char, keep_escapes: bool) -> String {
        if character != self.lexer.escape {
            return character.to_string();
        }
        let mut text = String::new();
        if keep_escapes {
            text.push(character);
        }
        match self.rest.peek().copied() {
            // Nothing follows: the quote is open anyhow.
            None => {}
            Some(next) if next == '"' || next == '$' || next == self.lexer.escape => {
                self.rest.next();
                text.push(next);
            }
            Some(_) => text.push(character),
        }
        text
    }

    fn quote(&self, quote: char) -> String {
        if self.lexer.keep_quotes { quote.to_string() } else { String::new() }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.rest.next();
        if self.rest.next_if_eq(&'{').is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(ExpandError::Deep);
            }
            let value = self.braces();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(self.value(&name).unwrap_or_else(|| self.unset_as(|| format!("${name}"))))
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.variables)(name);
        if value.is_none() {
            self.unset.insert(name.to_owned());
        }
        value
    }

    /// What stands for a variable without value.
    fn unset_as(&self, written: impl FnOnce() -> String) -> String {
        if self.lexer.keep_unset { written() } else { String::new() }
    }

    /// Letters, digits and `_`; or digits alone; or one of the shell's special names.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.rest.peek() {
            Some(first) if first.is_numeric() => {
                while let Some(digit) = self.rest.next_if(|next| next.is_numeric()) {
                    name.push(digit);
                }
            }
            Some(first) if "@*#?-$!0".contains(*first) => name.extend(self.rest.next()),
            _ => {
                while let Some(letter) = self.rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    name.push(letter);
                }
            }
        }
        name
    }

    /// After `${`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        match self.rest.peek() {
            None => return Err(ExpandError::Open('{')),
            Some('{' | '}' | ':') => return Err(ExpandError::NoName),
            Some(_) => {}
        }
        let name = self.name();
        match self.rest.next() {
            None => Err(ExpandError::Open('{')),
            Some('}') => {
                let value = self.value(&name);
                Ok(value.unwrap_or_else(|| self.unset_as(|| format!("${{{name}}}"))))
            }
            Some(':') => match self.rest.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.defaulted(&name, modifier, true),
                Some(other) => Err(ExpandError::Modifier(format!(":{other}"))),
                None => Err(ExpandError::Open('{')),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.defaulted(&name, modifier, false),
            Some(end @ ('#' | '%')) => self.trimmed(&name, end),
            Some('/') => self.replaced(&name),
            Some(other) => Err(ExpandError::Modifier(other.to_string())),
        }
    }

    /// `-word`, `+word`, `?word`, each with a colon before it: then an empty value is as good as none.
    fn defaulted(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, ExpandError> {
        let word = self.until(Some('}'), false)?.text;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let full = value.filter(|value| !(colon && value.is_empty()));
        match (modifier, full) {
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            ('-', None) => Ok(word),
            (_, None) => {
                let why = if colon { "it must not be empty" } else { "it must be set" };
                let message = if word.is_empty() { why.to_owned() } else { word };
                Err(ExpandError::Demanded { name: name.to_owned(), message })
            }
        }
    }

    /// `#pattern`, `##pattern`, `%pattern`, `%%pattern`.
    fn trimmed(&mut self, name: &str, end: char) -> Result<String, ExpandError> {
        let word = self.until(Some('}'), true)?.text;
        let Some(value) = self.value(name) else {
            return Ok(self.unset_as(|| format!("${{{name}{end}{word}}}")));
        };
        let (greed, pattern) = match word.strip_prefix(end) {
            Some(pattern) => (Greed::Longest, pattern),
            None => (Greed::Shortest, word.as_str()),
        };
        match end {
            '#' => pattern::without_start(&value, pattern, greed),
            _ => pattern::without_end(&value, pattern, greed),
        }
    }

    /// `/pattern/replacement`, `//pattern/replacement`.
    fn replaced(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.rest.next_if_eq(&'/').is_some();
        let pattern = self.until(Some('/'), true)?.text;
        let replacement = self.until(Some('}'), true)?.text;
        let Some(value) = self.value(name) else {
            let slashes = if all { "//" } else { "/" };
            return Ok(self.unset_as(|| format!("${{{name}{slashes}{pattern}/{replacement}}}")));
        };
        pattern::replace(&value, &pattern, &replacement, all)
    }
}
