//! What rules for Dockerfiles look at: the file as it was read, its stages, its scripts, the variables and the shell in force.
//!
//! ```text
//! text ─► frontend: Dockerfile and its mistakes ─► Lint: steps, stages, variables, scripts ─► rules ─► findings
//!                                                    ▲ Config, .dockerignore                   └► pragmas, settings: which count
//! ```
//!
//! A file with mistakes is looked at as far as it could be read; the mistakes themselves are findings of DL1000.

mod compose;
mod config;
mod foreign;
mod run;
mod scripts;
mod stages;
mod suppress;
mod variables;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use corten_diagnostic::{Edit, Failure, Place, Span};
use corten_frontend::dockerfile::{Command, Copy, Dockerfile, Instruction, Joined, Line, Word};

use crate::rules::dl::ran::{self, Ran};
use crate::rules::{Walk, walk};
use crate::shell::{Call, Dialect, Script};

pub use compose::Compose;
pub use config::{Config, Date, IgnoreFile, LabelKind};
pub use foreign::{ShellScript, shell_scripts};
pub use run::{Linted, lint_compose, lint_dockerfile};
pub use stages::{Base, Stage};
pub use suppress::{Choice, Pragma, is_rule, pragmas};
pub use variables::{Definition, DefinitionKind};

use variables::Definitions;

/// A Dockerfile and all that is known of it.
#[derive(Debug)]
pub struct Lint<'a> {
    /// As it was read.
    pub file: &'a Dockerfile,
    /// What could not be read of it, in the order of the lines.
    pub mistakes: &'a [Failure],
    /// Its instructions, in their order.
    pub steps: Vec<Step<'a>>,
    /// Its stages, in their order.
    pub stages: Vec<Stage>,
    /// What the user says.
    pub config: &'a Config,
    /// Of each name, in small letters, its stages, rising.
    names: HashMap<String, Vec<usize>>,
    /// The stages of the image, once all are known.
    in_image: OnceLock<HashSet<usize>>,
    definitions: Definitions,
    ran: OnceLock<Vec<Ran>>,
    walk: OnceLock<Walk>,
}

/// An instruction and what is in force there.
#[derive(Debug)]
pub struct Step<'a> {
    /// Its place in [`Lint::steps`].
    pub number: usize,
    /// As it is written.
    pub instruction: &'a Instruction,
    /// What it means; none where that could not be understood, which is one of the mistakes.
    pub command: Option<Command>,
    /// The stage that it stands in; FROM begins it. None before the first FROM.
    pub stage: Option<usize>,
    /// The shell for commands that are one text.
    pub shell: Arc<Shell>,
    /// What RUN, CMD, ENTRYPOINT or HEALTHCHECK gives to the shell, also after ONBUILD: where it could be read.
    pub script: Option<Script>,
}

/// What SHELL says, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The program and its options; `/bin/sh -c` where nobody says anything.
    pub words: Vec<String>,
    /// Whose language it speaks; none of a shell that is not read here.
    pub dialect: Option<Dialect>,
    /// A failure within a pipe is one of the pipe.
    pub pipefail: bool,
    /// The step that says so: a SHELL.
    pub step: Option<usize>,
}

impl<'a> Lint<'a> {
    /// Looks at a file; `mistakes` are those of reading it.
    pub fn new(file: &'a Dockerfile, mistakes: &'a [Failure], config: &'a Config) -> Self {
        let mut lint = Self {
            file,
            mistakes,
            steps: Vec::new(),
            stages: Vec::new(),
            config,
            names: HashMap::new(),
            in_image: OnceLock::new(),
            definitions: Definitions::default(),
            ran: OnceLock::new(),
            walk: OnceLock::new(),
        };
        lint.look();
        lint
    }

    /// Steps of a keyword's command, as a function picks them: also those after ONBUILD.
    pub fn each<'l, T>(
        &'l self,
        pick: impl Fn(&'l Command) -> Option<T> + 'l,
    ) -> impl Iterator<Item = (&'l Step<'a>, T)> + 'l {
        self.steps.iter().filter_map(move |step| Some((step, pick(step.meant()?)?)))
    }

    /// Steps that have a script, and it.
    pub fn scripts(&self) -> impl Iterator<Item = (&Step<'a>, &Script)> {
        self.steps.iter().filter_map(|step| Some((step, step.script.as_ref()?)))
    }

    /// RUN steps that have a script, and it.
    pub fn runs(&self) -> impl Iterator<Item = (&Step<'a>, &Script)> {
        self.scripts().filter(|(step, _)| matches!(step.meant(), Some(Command::Run(_))))
    }

    /// All programs that RUN starts.
    pub fn calls(&self) -> impl Iterator<Item = (&Step<'a>, Call<'_>)> {
        self.runs().flat_map(|(step, script)| script.calls().into_iter().map(move |call| (step, call)))
    }

    /// COPY and ADD, also those after ONBUILD.
    pub fn copies(&self) -> impl Iterator<Item = (&Step<'a>, &Copy)> {
        self.steps.iter().filter_map(|step| Some((step, step.copy()?)))
    }

    /// All RUNs as the rules with hadolint's numbers see them, in the order of their steps.
    pub(crate) fn ran(&self) -> &[Ran] {
        self.ran.get_or_init(|| ran::all(self))
    }

    /// The one of a step.
    pub(crate) fn ran_of(&self, step: &Step<'_>) -> Option<&Ran> {
        let at = self.ran().binary_search_by_key(&step.number, |ran| ran.step).ok()?;
        self.ran().get(at)
    }

    /// The stage of a step.
    pub fn stage_of(&self, step: &Step<'_>) -> Option<&Stage> {
        self.stages.get(step.stage?)
    }

    /// The steps of a stage behind its FROM.
    pub fn steps_of(&self, stage: &Stage) -> &[Step<'a>] {
        self.steps.get(stage.steps.clone()).unwrap_or_default()
    }

    /// The file as BuildKit goes through it.
    pub(crate) fn buildkit(&self) -> &Walk {
        self.walk.get_or_init(|| walk(self))
    }

    /// Gone through with what a test knows.
    #[cfg(test)]
    pub(crate) fn walked(&self, walk: Walk) {
        drop(self.walk.set(walk));
    }

    /// Bytes of the Dockerfile.
    pub fn span(&self, range: Range<usize>) -> Span {
        self.file.span(range)
    }

    /// The same as the place of a finding.
    pub fn place(&self, range: Range<usize>) -> Place {
        Place::Text(self.span(range))
    }

    /// A replacement; an empty range inserts.
    pub fn edit(&self, range: Range<usize>, text: impl Into<String>) -> Edit {
        Edit { span: self.span(range), text: text.into() }
    }

    /// Takes out whole lines of an instruction with what is behind it.
    pub fn without(&self, step: &Step<'_>) -> Edit {
        let text = self.file.text();
        let start = text.get(..step.at().start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let mut end = step.end(text);
        if text.get(end..).is_some_and(|rest| rest.starts_with('\n')) {
            end += 1;
        }
        self.edit(start..end, "")
    }

    /// Before the comments right above a step, where a line can be put: one of them may be for it alone.
    pub fn above(&self, step: &Step<'_>) -> usize {
        let start = step.at().start;
        let before = self.text(0..start);
        let mut at = before.rfind('\n').map_or(0, |at| at + 1);
        let mut above = at;
        for line in before.get(..at).unwrap_or_default().split_inclusive('\n').rev() {
            at -= line.len();
            match line.trim_start().chars().next() {
                Some('#') => above = at,
                _ => break,
            }
        }
        above
    }

    /// A word of a command with the blanks before it; one that begins its line with those behind it, or with the line that is
    /// its own. None of the last word, where it stands alone.
    pub fn without_word(&self, word: &Range<usize>) -> Option<Edit> {
        let text = self.file.text();
        let (before, after) = (text.get(..word.start)?, text.get(word.end..)?);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        if !before.get(line..)?.trim().is_empty() {
            return Some(self.edit(before.trim_end().len()..word.end, ""));
        }
        let rest = after.split_inclusive('\n').next()?;
        let range = match rest.trim().strip_prefix(self.file.escape) {
            Some("") => line..word.end + rest.len(),
            _ if rest.trim().is_empty() => return None,
            _ => word.start..word.end + rest.len() - rest.trim_start().len(),
        };
        Some(self.edit(range, ""))
    }

    /// The text of a range.
    pub fn text(&self, range: Range<usize>) -> &str {
        self.file.text().get(range).unwrap_or_default()
    }

    /// Does a word of a step's script stand in the file as it is written there? Not in a list of JSON, nor behind an escape in a
    /// text for another shell. Only beside such a word may a fix write.
    pub(crate) fn stands(&self, step: &Step<'_>, word: &crate::shell::Word) -> bool {
        step.exec().is_none() && self.text(word.at.clone()) == word.raw
    }

    /// What a name stands for at a step: the last ARG or ENV before it, in its stage or those below.
    pub fn definition(&self, step: &Step<'_>, name: &str) -> Option<&Definition> {
        self.definitions.get(&self.stages, step, name)
    }

    /// All definitions of the file, in the order of the text.
    pub fn definitions(&self) -> &[Definition] {
        self.definitions.all()
    }

    /// A text with the variables that are known at a step; none where one of them is not.
    pub fn expand(&self, step: &Step<'_>, text: &str) -> Option<String> {
        variables::expand(self.file.escape, text, &|name| self.definition(step, name)?.value.clone())
    }
}

impl Step<'_> {
    /// What it means, after ONBUILD what comes then.
    pub fn meant(&self) -> Option<&Command> {
        match self.command.as_ref()? {
            Command::Onbuild(_, inner) => Some(inner),
            command => Some(command),
        }
    }

    /// Is it one after ONBUILD?
    pub fn is_trigger(&self) -> bool {
        matches!(self.command, Some(Command::Onbuild(..)))
    }

    /// COPY or ADD, also after ONBUILD.
    pub fn copy(&self) -> Option<&Copy> {
        match self.meant()? {
            Command::Copy(copy) => Some(copy),
            _ => None,
        }
    }

    /// Is it RUN, or one after ONBUILD?
    pub fn is_run(&self) -> bool {
        matches!(self.meant(), Some(Command::Run(_)))
    }

    /// The instruction, after ONBUILD the one that comes then.
    pub fn meant_instruction(&self) -> &Instruction {
        match &self.instruction.arguments {
            corten_frontend::dockerfile::Arguments::Instruction(inner) => inner,
            _ => self.instruction,
        }
    }

    /// Its line with continuations: positions of [`Word`]s are in its text.
    pub fn line(&self) -> &Joined {
        &self.instruction.line
    }

    /// Bytes of the Dockerfile for bytes of the joined line.
    pub fn place(&self, range: Range<usize>) -> Range<usize> {
        self.instruction.line.place(range)
    }

    /// Bytes of the Dockerfile of a word of the instruction.
    pub fn word(&self, word: &Word) -> Range<usize> {
        self.place(word.range.clone())
    }

    /// Bytes of the Dockerfile of its name.
    pub fn name(&self) -> Range<usize> {
        self.word(&self.instruction.name)
    }

    /// Bytes of the Dockerfile: from its name to the end of its (joined) line.
    pub fn at(&self) -> Range<usize> {
        let line = &self.instruction.line;
        line.place(self.instruction.name.range.start..line.text.trim_end().len())
    }

    /// Where its last line ends, here-documents with it: at the `\n` or the end of the text.
    fn end(&self, text: &str) -> usize {
        // Counting lines takes long in long files: where nothing but blanks follows on the line, it ends there.
        let at = self.at().end;
        let rest = text.get(at..).map_or("", |rest| rest.split('\n').next().unwrap_or_default());
        if self.instruction.heredocs.is_empty() && rest.trim().is_empty() {
            return at + rest.len();
        }
        let lines = self.instruction.lines.end.saturating_sub(1);
        let length: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
        let without = text.get(..length).map_or(0, |all| all.strip_suffix('\n').unwrap_or(all).len());
        without.max(self.at().end)
    }

    /// `["…", …]` of RUN, CMD, ENTRYPOINT or HEALTHCHECK.
    pub fn exec(&self) -> Option<&[String]> {
        match self.command_line()? {
            Line::Exec(words) => Some(words),
            Line::Shell(_) => None,
        }
    }

    /// The command line of RUN, CMD, ENTRYPOINT or HEALTHCHECK.
    pub fn command_line(&self) -> Option<&Line> {
        match self.meant()? {
            Command::Run(run) => Some(&run.line),
            Command::Cmd(line) | Command::Entrypoint(line) => Some(line),
            Command::Healthcheck(check) => check.command.as_ref(),
            _ => None,
        }
    }
}
