//! From a text to a tree: lists, pipelines, simple commands. The others are read in `compound`, words in `word`, `> file` in
//! `redirections`.
//!
//! Each level of nesting costs one of [`DEEPEST`]; looking ahead (for the end of an arithmetic expression, of a brace) costs
//! work, of which there is so much as the text is long. So a hostile text ends in [`Unreadable`], soon.

use std::ops::Range;

use super::source::Source;
use super::{
    Assignment, Command, CommandKind, Dialect, Item, Joint, List, Part, PartKind, Pipeline, Quote, Redirection, Script,
    Simple, Value, Word, calls,
};

/// So deep lists, substitutions and `${…}` may nest: people need five.
const DEEPEST: usize = 40;
/// Bytes looked ahead at, for each byte of the text.
const WORK_PER_BYTE: usize = 16;

/// Why a text is no script that can be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// What ends a list, and begins no command.
const CLOSING: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "esac", "}"];

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// What is no script, or nested beyond reason.
    pub fn read(source: &Source, dialect: Dialect) -> Result<Self, Unreadable> {
        let mut work = source.text().len().saturating_mul(WORK_PER_BYTE).saturating_add(1 << 16);
        Parser::new(source, dialect, 0, &mut work).script()
    }
}

pub(super) type Read<T> = Result<T, Unreadable>;

pub(super) struct Parser<'s, 'w> {
    pub(super) source: &'s Source,
    pub(super) text: &'s str,
    pub(super) at: usize,
    pub(super) dialect: Dialect,
    pub(super) depth: usize,
    pub(super) work: &'w mut usize,
    /// The end of a line behind which here-documents stand, and where they end.
    pub(super) documents: Option<(usize, usize)>,
}

impl<'s, 'w> Parser<'s, 'w> {
    pub(super) fn new(source: &'s Source, dialect: Dialect, depth: usize, work: &'w mut usize) -> Self {
        Self { source, text: source.text(), at: 0, dialect, depth, work, documents: None }
    }

    pub(super) fn script(mut self) -> Read<Script> {
        let list = self.list()?;
        if self.at < self.text.len() {
            return Err(self.unexpected());
        }
        Ok(Script { dialect: self.dialect, list, at: self.place(0) })
    }

    // What comes next.

    pub(super) fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn sees(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let sees = self.sees(text);
        if sees {
            self.at += text.len();
        }
        sees
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// In the Dockerfile, from `start` to here.
    pub(super) fn place(&self, start: usize) -> Range<usize> {
        self.source.place(start..self.at)
    }

    pub(super) fn unreadable(&self, message: impl Into<String>, start: usize) -> Unreadable {
        Unreadable { message: message.into(), at: self.source.place(start..self.at.max(start)) }
    }

    pub(super) fn unexpected(&self) -> Unreadable {
        let message = match self.peek() {
            None => "the command ends too early".to_owned(),
            Some('\n') => "the line ends too early".to_owned(),
            Some(_) => format!("{} is not expected here", self.word_ahead().chars().take(40).collect::<String>()),
        };
        Unreadable { message, at: self.source.place(self.at..self.at + self.peek().map_or(0, char::len_utf8)) }
    }

    pub(super) fn enter(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.unreadable(format!("nested more than {DEEPEST} deep"), self.at));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Pays for looking ahead.
    pub(super) fn pay(&mut self, bytes: usize) -> Read<()> {
        match self.work.checked_sub(bytes + 1) {
            Some(left) => *self.work = left,
            None => {
                // Who goes on in spite of it goes no further.
                *self.work = 0;
                return Err(self.unreadable("too entangled to be read", self.at));
            }
        }
        Ok(())
    }

    /// The next word as it is written, if it has neither quotes nor expansions; a separator where that comes next.
    pub(super) fn word_ahead(&self) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|letter: char| letter.is_whitespace() || ";&|()<>'\"\\$`".contains(letter));
        match end.unwrap_or(rest.len()) {
            0 => rest.get(..rest.chars().next().map_or(0, char::len_utf8)).unwrap_or_default(),
            end => rest.get(..end).unwrap_or_default(),
        }
    }

    /// Is this the next word, whole?
    pub(super) fn is_word(&self, word: &str) -> bool {
        let Some(rest) = self.rest().strip_prefix(word) else { return false };
        rest.chars().next().is_none_or(|next| next.is_whitespace() || ";&|()<>".contains(next))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.at += word.len();
        }
        is
    }

    pub(super) fn expect_word(&mut self, word: &str, start: usize) -> Read<()> {
        self.newlines();
        if self.take_word(word) { Ok(()) } else { Err(self.unreadable(format!("{word} is missing"), start)) }
    }

    /// Blanks, comments and joined lines.
    pub(super) fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\u{b}', '\u{c}']).len();
            self.at += blank;
            if self.take("\\\n") || self.take("\\\r\n") {
                continue;
            }
            let begins = self.text.get(..self.at).is_none_or(|before| {
                before.chars().next_back().is_none_or(|last| last.is_whitespace() || ";&|()".contains(last))
            });
            if begins && self.sees("#") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                continue;
            }
            return;
        }
    }

    /// The end of a line, and the here-documents behind it.
    fn newline(&mut self) -> bool {
        if !self.sees("\n") {
            return false;
        }
        match self.documents.take() {
            Some((line, end)) if line == self.at => self.at = end,
            other => {
                self.documents = other;
                self.at += 1;
            }
        }
        true
    }

    pub(super) fn newlines(&mut self) {
        self.blanks();
        while self.newline() {
            self.blanks();
        }
    }

    /// Nothing of a list comes next.
    fn closes(&self) -> bool {
        match self.peek() {
            None | Some(')') => true,
            Some(';') => self.sees(";;") || self.sees(";&"),
            _ => CLOSING.iter().any(|word| self.is_word(word)),
        }
    }

    // Lists.

    pub(super) fn list(&mut self) -> Read<List> {
        self.enter()?;
        let (mut items, mut joint) = (Vec::<Item>::new(), Joint::First);
        let mut joint_at = self.place(self.at);
        self.newlines();
        let start = self.at;
        let mut end = self.at;
        while !self.closes() {
            let pipeline = self.pipeline()?;
            end = self.at;
            items.push(Item { joint, joint_at, pipeline, background: false });
            self.blanks();
            let at = self.at;
            joint = match self.separator(items.last_mut()) {
                Some(joint) => joint,
                None => break,
            };
            joint_at = self.place(at);
            self.newlines();
            if joint != Joint::Next && self.closes() {
                return Err(self.unreadable("a command is missing behind it", at));
            }
        }
        self.leave();
        Ok(List { items, at: self.source.place(start..end) })
    }

    fn separator(&mut self, last: Option<&mut Item>) -> Option<Joint> {
        if self.take("&&") {
            return Some(Joint::And);
        }
        if self.take("||") {
            return Some(Joint::Or);
        }
        if self.sees(";;") || self.sees(";&") {
            return None;
        }
        if self.take("&") {
            last.into_iter().for_each(|item| item.background = true);
            return Some(Joint::Next);
        }
        (self.take(";") || self.newline()).then_some(Joint::Next)
    }

    fn pipeline(&mut self) -> Read<Pipeline> {
        let start = self.at;
        let mut negated = false;
        while self.take_word("!") {
            negated = !negated;
            self.blanks();
        }
        let mut commands = vec![self.command()?];
        let mut pipes = Vec::new();
        let mut end = self.at;
        loop {
            self.blanks();
            let at = self.at;
            if self.sees("||") || !(self.take("|&") || self.take("|")) {
                break;
            }
            pipes.push(self.place(at));
            self.newlines();
            commands.push(self.command()?);
            end = self.at;
        }
        Ok(Pipeline { negated, commands, pipes, at: self.source.place(start..end) })
    }

    // Commands.

    pub(super) fn command(&mut self) -> Read<Command> {
        let start = self.at;
        let mut redirections = Vec::new();
        let kind = match self.compound()? {
            Some(kind) => {
                self.redirections(&mut redirections)?;
                kind
            }
            None => self.simple(&mut redirections)?,
        };
        Ok(Command { kind, redirections, at: self.place(start) })
    }

    // Simple commands.

    fn simple(&mut self, redirections: &mut Vec<Redirection>) -> Read<CommandKind> {
        let start = self.at;
        let mut simple = Simple { assignments: Vec::new(), words: Vec::new(), inner: None, at: 0..0 };
        let mut end = self.at;
        loop {
            self.blanks();
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
            } else if !self.begins_word() {
                break;
            } else if let Some(assignment) = self.assignment(&simple)? {
                simple.assignments.push(assignment);
            } else {
                simple.words.push(self.word()?);
            }
            end = self.at;
        }
        if end == start || (simple.words.is_empty() && simple.assignments.is_empty() && redirections.is_empty()) {
            return Err(self.unexpected());
        }
        self.at = end;
        simple.at = self.place(start);
        simple.inner = self.inner(&simple)?.map(Box::new);
        Ok(CommandKind::Simple(Box::new(simple)))
    }

    /// `name=value`, before the program's name.
    fn assignment(&mut self, simple: &Simple) -> Read<Option<Assignment>> {
        let start = self.at;
        if !simple.words.is_empty() {
            return Ok(None);
        }
        let rest = self.rest();
        self.pay(Head::looks_at(rest))?;
        let Some(head) = Head::of(rest) else { return Ok(None) };
        self.at += head.length;
        let value = if self.sees("(") {
            self.at += 1;
            Value::Array(self.elements(start)?)
        } else if self.begins_word() {
            Value::Word(self.word()?)
        } else {
            Value::Word(Word { at: self.place(self.at), ..Word::default() })
        };
        Ok(Some(Assignment {
            name: head.name,
            subscript: head.subscript,
            append: head.append,
            value,
            at: self.place(start),
        }))
    }

    /// Of an array, behind its parenthesis.
    pub(super) fn elements(&mut self, start: usize) -> Read<Vec<Word>> {
        self.enter()?;
        let mut words = Vec::new();
        loop {
            self.newlines();
            if self.take(")") {
                self.leave();
                return Ok(words);
            }
            if !self.begins_word() {
                return Err(self.unreadable("nothing closes the array", start));
            }
            words.push(self.word()?);
        }
    }
}

/// What ends a subscript, or tells that it is none.
const SUBSCRIPT_ENDS: [char; 3] = [']', ' ', '\n'];

/// The beginning of an assignment.
struct Head {
    name: String,
    subscript: Option<String>,
    append: bool,
    length: usize,
}

impl Head {
    /// How many bytes have to be looked at for a subscript.
    fn looks_at(text: &str) -> usize {
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
        let inner = text.get(end..).and_then(|rest| rest.strip_prefix('['));
        inner.map_or(0, |inner| inner.find(SUBSCRIPT_ENDS).unwrap_or(inner.len()))
    }

    /// `name=`, `name+=`, `name[subscript]=`.
    fn of(text: &str) -> Option<Self> {
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
        let name = text.get(..end).filter(|name| calls::is_name(name))?.to_owned();
        let mut rest = text.get(end..)?;
        let mut subscript = None;
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, behind) = inner.split_at_checked(inner.find(SUBSCRIPT_ENDS)?)?;
            subscript = Some(index.to_owned());
            rest = behind.strip_prefix(']')?;
        }
        let (append, rest) = match rest.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.strip_prefix('=')?;
        Some(Self { name, subscript, append, length: text.len() - rest.len() })
    }
}

impl Script {
    /// A program with its arguments, as `["…", …]` has them: each with its place in the Dockerfile.
    pub fn exec(words: &[(String, Range<usize>)]) -> Self {
        let at = match (words.first(), words.last()) {
            (Some((_, first)), Some((_, last))) => first.start..last.end,
            _ => 0..0,
        };
        let words: Vec<Word> = words.iter().map(|(text, at)| exec_word(text, at.clone())).collect();
        let mut work = words.iter().map(|word| word.raw.len() * WORK_PER_BYTE).sum::<usize>().saturating_add(1 << 16);
        let mut simple = Simple { assignments: Vec::new(), words, inner: None, at: at.clone() };
        let none = Source::default();
        simple.inner = Parser::new(&none, Dialect::Sh, 0, &mut work).inner(&simple).unwrap_or_default().map(Box::new);
        let command = Command { kind: CommandKind::Simple(Box::new(simple)), redirections: Vec::new(), at: at.clone() };
        let pipeline = Pipeline { negated: false, commands: vec![command], pipes: Vec::new(), at: at.clone() };
        let item = Item { joint: Joint::First, joint_at: at.start..at.start, pipeline, background: false };
        Self { dialect: Dialect::Sh, list: List { items: vec![item], at: at.clone() }, at }
    }
}

/// Its quotes are not part of the text.
fn exec_word(text: &str, at: Range<usize>) -> Word {
    let within = at.start + 1..at.end.saturating_sub(1).max(at.start + 1);
    let part = Part { kind: PartKind::Text(text.to_owned()), quote: Quote::Single, at: within };
    Word { raw: text.to_owned(), parts: vec![part], at }
}
