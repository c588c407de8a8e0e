//! Goes through the instructions once: stages begin, shells change, variables get values, scripts are read.

use std::ops::Range;
use std::sync::Arc;

use corten_frontend::dockerfile::{Arguments, Command, Heredoc, Instruction, Pair, Word};

use super::variables::{Definition, DefinitionKind, expand};
use super::{Lint, Shell, Step};
use crate::shell::{Dialect, Script, Source};

/// Bytes of all values of a file that are kept.
const VALUES: usize = 4 << 20;

impl<'a> Lint<'a> {
    pub(super) fn look(&mut self) {
        let file = self.file;
        let mut looking = Looking { shell: Arc::new(Shell::usual(file.escape)), shells: Vec::new(), values: VALUES };
        for instruction in &file.instructions {
            let number = self.steps.len();
            let command = Command::of(instruction).ok();
            if let Some(Command::From(from)) = &command {
                let expanded = self.expand_at(None, number, &from.image.text);
                self.begin(number, from, expanded);
                looking.begin(self);
            }
            let stage = self.stages.len().checked_sub(1);
            looking.pragma(&instruction.line.comments);
            let mut step =
                Step { number, instruction, command, stage, shell: Arc::clone(&looking.shell), script: None };
            step.script = script(&step);
            looking.shell(&step);
            self.define(&step, &mut looking.values);
            if let Some(stage) = self.stages.last_mut() {
                stage.steps.end = number + 1;
            }
            self.steps.push(step);
        }
    }

    /// How many texts for a shell whose language is read here could not be read.
    pub(crate) fn unread(&self) -> usize {
        let is_unread = |step: &&Step<'_>| {
            let word = text(step).filter(|_| step.script.is_none());
            word.is_some_and(|word| dialect(step, word).is_some())
        };
        self.steps.iter().filter(is_unread).count()
    }

    fn expand_at(&self, stage: Option<usize>, before: usize, text: &str) -> Option<String> {
        let variable = |name: &str| self.definitions.at(&self.stages, stage, before, name)?.value.clone();
        expand(self.file.escape, text, &variable)
    }

    fn define(&mut self, step: &Step<'_>, left: &mut usize) {
        let all: Vec<Definition> = match step.command.as_ref() {
            Some(Command::Arg(all)) => {
                all.iter().map(|(name, value)| self.argument(step, name, value.as_ref())).collect()
            }
            Some(Command::Env(pairs)) => pairs.iter().map(|pair| self.variable(step, pair)).collect(),
            _ => return,
        };
        for mut definition in all {
            let bytes = definition.value.as_ref().map_or(0, String::len);
            match left.checked_sub(bytes) {
                Some(rest) => *left = rest,
                None => definition.value = None,
            }
            self.definitions.add(definition);
        }
    }

    fn argument(&self, step: &Step<'_>, name: &Word, value: Option<&Word>) -> Definition {
        let given = self.config.build_args.get(&name.text).cloned();
        let default = || self.expand_at(step.stage, step.number, &value?.text);
        // Without a value it takes what stands before the first FROM.
        let global = || self.definitions.at(&self.stages, None, step.number, &name.text)?.value.clone();
        Definition {
            name: name.text.clone(),
            kind: DefinitionKind::Arg,
            value: given.or_else(|| if value.is_some() { default() } else { global() }),
            written: value.map(|value| value.text.clone()),
            step: step.number,
            stage: step.stage,
            name_at: step.word(name),
            value_at: value.map_or_else(|| step.word(name).end..step.word(name).end, |value| step.word(value)),
        }
    }

    fn variable(&self, step: &Step<'_>, pair: &Pair) -> Definition {
        Definition {
            name: pair.name.text.clone(),
            kind: DefinitionKind::Env,
            value: self.expand_at(step.stage, step.number, &pair.value.text),
            written: Some(pair.value.text.clone()),
            step: step.number,
            stage: step.stage,
            name_at: step.word(&pair.name),
            value_at: step.word(&pair.value),
        }
    }
}

/// What changes from step to step.
struct Looking {
    shell: Arc<Shell>,
    /// At the end of each stage.
    shells: Vec<Arc<Shell>>,
    /// Bytes of values that may still be kept.
    values: usize,
}

impl Looking {
    /// A stage begins: with the shell of the one that it stands on.
    fn begin(&mut self, lint: &Lint<'_>) {
        self.shells.push(Arc::clone(&self.shell));
        let Some(stage) = lint.stages.last() else { return };
        // Place 0 is what stands before the first FROM.
        let below = match stage.base {
            super::Base::Stage(below) => self.shells.get(below + 1).cloned(),
            _ => None,
        };
        self.shell = below.unwrap_or_else(|| Arc::new(Shell::usual(lint.file.escape)));
    }

    fn shell(&mut self, step: &Step<'_>) {
        if let Some(Command::Shell(words)) = &step.command {
            self.shell = Arc::new(Shell::of(words, Some(step.number)));
        }
    }

    /// `# hadolint shell=bash` above an instruction.
    fn pragma(&mut self, comments: &[String]) {
        let named = |comment: &String| {
            let rest = comment.trim().strip_prefix("hadolint")?.trim_start();
            Some(rest.strip_prefix("shell")?.trim_start().strip_prefix('=')?.trim().to_owned())
        };
        if let Some(name) = comments.iter().filter_map(named).next_back() {
            let pipefail = self.shell.pipefail;
            self.shell = Arc::new(Shell { pipefail, ..Shell::of(&[name, "-c".to_owned()], self.shell.step) });
        }
    }
}

impl Shell {
    /// Where nobody says anything; an escape of ` is for Windows.
    fn usual(escape: char) -> Self {
        let words = if escape == '`' { ["cmd", "/S", "/C"].as_slice() } else { ["/bin/sh", "-c"].as_slice() };
        Self::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), None)
    }

    fn of(words: &[String], step: Option<usize>) -> Self {
        Self {
            dialect: words.first().and_then(|program| Dialect::of(program)),
            pipefail: words.iter().any(|word| word == "pipefail"),
            words: words.to_vec(),
            step,
        }
    }
}

/// What a step gives to its program, or to the shell.
fn arguments<'s>(step: &'s Step<'_>) -> Option<&'s Arguments> {
    step.command_line()?;
    match &step.meant_instruction().arguments {
        Arguments::Check(_, rest) => Some(rest.as_ref()),
        other => Some(other),
    }
}

/// What it gives to the shell.
fn text<'s>(step: &'s Step<'_>) -> Option<&'s Word> {
    match arguments(step)? {
        Arguments::Text(word) => Some(word),
        _ => None,
    }
}

/// The script of a step.
fn script(step: &Step<'_>) -> Option<Script> {
    let instruction = step.meant_instruction();
    match arguments(step)? {
        Arguments::Text(word) => {
            let dialect = dialect(step, word)?;
            let source = Source::of(step.line(), word.range.clone(), &step.instruction.heredocs);
            Script::read(&source, dialect).ok()
        }
        Arguments::Json(words) => Some(Script::exec(&placed(step, instruction, words))),
        _ => None,
    }
}

/// Of a here-document that says so (`#!`) its own, else that of the shell in force.
pub(super) fn dialect(step: &Step<'_>, word: &Word) -> Option<Dialect> {
    let alone = step.instruction.heredocs.first().filter(|_| Heredoc::is_all_of(&word.text));
    let first = alone.and_then(|heredoc| heredoc.content.lines().next()?.trim_start().strip_prefix("#!"));
    match first {
        Some(line) => {
            let mut words = line.split_whitespace().filter(|word| !word.ends_with("/env") && !word.starts_with('-'));
            Dialect::of(words.next()?)
        }
        None => step.shell.dialect,
    }
}

/// The words of `["…", …]` with their places in the Dockerfile.
fn placed(step: &Step<'_>, instruction: &Instruction, words: &[String]) -> Vec<(String, Range<usize>)> {
    let text = &instruction.line.text;
    let from = instruction.flags.last().map_or(instruction.name.range.end, |flag| flag.range.end);
    let start = from + text.get(from..).and_then(|rest| rest.find('[')).unwrap_or(0);
    let whole = step.place(start..text.trim_end().len());
    let places = strings(text, start);
    let place = |at: usize| match places.get(at) {
        Some(range) if places.len() == words.len() => step.place(range.clone()),
        _ => whole.clone(),
    };
    words.iter().enumerate().map(|(at, word)| (word.clone(), place(at))).collect()
}

/// Where the strings of a JSON list stand, their quotes with them.
fn strings(text: &str, from: usize) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut open = None;
    let mut escaped = false;
    for (at, letter) in text.get(from..).unwrap_or_default().char_indices() {
        match (open, letter) {
            _ if std::mem::take(&mut escaped) => {}
            (Some(_), '\\') => escaped = true,
            (Some(start), '"') => {
                all.push(from + start..from + at + 1);
                open = None;
            }
            (None, '"') => open = Some(at),
            _ => {}
        }
    }
    all
}
