//! The Dockerfile language, as BuildKit's `docker/dockerfile:1` reads it.
//!
//! ```text
//! text ─► source: joined lines ─► syntax: instructions ─► command: what they mean ─► stages, lower: a recipe
//!           directives, heredoc      words, json            flags                     variables (expand, pattern)
//! ```
//!
//! Reading goes on after a mistake, so that all are told at once.

mod command;
mod copying;
mod directives;
mod expand;
mod flags;
mod health;
mod heredoc;
mod lower;
mod mount;
mod outline;
mod pattern;
mod ports;
mod signal;
mod source;
mod stages;
mod state;
mod syntax;
mod words;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Diagnose, Failure, Span};

pub use command::{Command, Copy, From, Healthcheck, Line, Run, Source};
pub use directives::{Directive, DirectiveName};
pub use expand::{ExpandError, Expanded, Lexer, Variables};
pub use heredoc::Heredoc;
pub use lower::{Answers, Lowered};
pub use mount::{parse as read_mount, values as mount_values};
pub use outline::{Argument, Given, Outline, Target};
pub use source::Joined;
pub use stages::{Named, Options};
pub use syntax::{Arguments, Instruction, Keyword, Mistake, Pair};
pub use words::Word;

use source::Lines;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    file: PathBuf,
    text: Arc<str>,
    /// What joins lines and escapes characters.
    pub escape: char,
    /// `# syntax=` and the like.
    pub directives: Vec<Directive>,
    /// All instructions that could be read, in their order.
    pub instructions: Vec<Instruction>,
}

impl Dockerfile {
    /// Reads a file; `file` is its name as the user knows it.
    ///
    /// # Errors
    /// All mistakes, in the order of their lines, each with its place; whose fault is the input.
    pub fn read(file: &Path, text: &str) -> Result<Self, Vec<Failure>> {
        let (read, mut mistakes) = Self::read_what_can_be(file, text);
        if mistakes.is_empty() {
            return Ok(read);
        }
        // What could be read is looked at all the same.
        for instruction in &read.instructions {
            mistakes.extend(Command::of(instruction).err().map(|mistake| read.failure(&instruction.line, mistake)));
        }
        mistakes.sort_by_key(|mistake| mistake.span().map(|span| span.range().start));
        Err(mistakes)
    }

    /// Reads what can be read of a file, with the mistakes that stand in the way of the rest: those of lines. What an
    /// instruction means ([`Command::of`]) is not asked.
    pub fn read_what_can_be(file: &Path, text: &str) -> (Self, Vec<Failure>) {
        let directives = directives::read(text);
        let mut read =
            Self { file: file.to_owned(), text: text.into(), escape: '\\', directives, instructions: Vec::new() };
        let mut mistakes = read.directives();
        mistakes.extend(read.instructions());
        (read, mistakes)
    }

    /// As the user knows it.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes of the file.
    pub fn span(&self, range: Range<usize>) -> Span {
        Span::new(&self.file, Arc::clone(&self.text), range)
    }

    /// A part of an instruction's line.
    pub fn place(&self, line: &Joined, range: Range<usize>) -> Span {
        self.span(line.place(range))
    }

    fn directives(&mut self) -> Vec<Failure> {
        let mut mistakes = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for directive in &self.directives {
            let at = self.span(directive.range.clone());
            if !seen.insert(directive.name) {
                let message = format!("a second `# {}=`", format!("{:?}", directive.name).to_lowercase());
                mistakes.push(Failure::input(message).hint("one of each is allowed").at(at));
            } else if directive.name == DirectiveName::Escape {
                match directive.value.as_str() {
                    "\\" => self.escape = '\\',
                    "`" => self.escape = '`',
                    other => {
                        let message = format!("`# escape={other}`: this character cannot escape others");
                        mistakes.push(Failure::input(message).hint("write \\ or `").at(at));
                    }
                }
            }
        }
        mistakes
    }

    fn instructions(&mut self) -> Vec<Failure> {
        let text = Arc::clone(&self.text);
        let mut lines = Lines::new(&text, self.escape, self.directives.last().map_or(0, |last| last.line));
        let mut mistakes = Vec::new();
        while let Some(line) = lines.joined() {
            match syntax::instruction(&line, 0, self.escape) {
                Ok(mut instruction) => {
                    for heredoc in &mut instruction.heredocs {
                        if !heredoc.read(&mut lines) {
                            let message = format!("nothing ends the here-document {}", heredoc.name);
                            let hint = format!("a line with {} alone ends it", heredoc.name);
                            mistakes.push(Failure::input(message).hint(hint).at(self.place(&line, 0..line.text.len())));
                        }
                    }
                    instruction.lines.end = lines.read() + 1;
                    self.instructions.push(instruction);
                }
                Err(mistake) => mistakes.push(self.failure(&line, mistake)),
            }
        }
        if self.instructions.is_empty() && mistakes.is_empty() {
            mistakes.push(Failure::input(format!("{} has no instruction", self.file.display())));
        }
        mistakes
    }

    /// A mistake as it is told, with its place.
    pub fn failure(&self, line: &Joined, mistake: Mistake) -> Failure {
        let failure = Failure::input(mistake.message).at(self.place(line, mistake.range));
        mistake.hint.into_iter().fold(failure, Failure::hint)
    }
}
