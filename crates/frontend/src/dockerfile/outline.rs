//! What a file can be asked for, found by reading alone: its stages (`--call targets`), and the arguments, secrets and agents that
//! one of them takes (`--call outline`), as BuildKit's frontend tells them.
//!
//! An argument belongs to a stage that declares it, or whose FROM names it; a stage that is needed brings its own. The value is the
//! one that a build would take, as far as that is known without images. A description is a comment above that begins with the name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use corten_diagnostic::Failure;
use corten_plan::recipe::MountKind;

use super::Dockerfile;
use super::command::{Command, Run};
use super::mount;
use super::stages::{self, Options, Stages, WrittenBase};
use super::syntax::Instruction;
use super::words::Word;

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `AS`, in small letters.
    pub name: Option<String>,
    /// What a comment says of it.
    pub description: Option<String>,
    /// What follows FROM, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// Lines of its FROM, counted from 1.
    pub lines: Range<usize>,
}

/// What a stage takes, each kind in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The stage's name.
    pub name: Option<String>,
    /// What a comment says of it.
    pub description: Option<String>,
    /// Arguments.
    pub arguments: Vec<Argument>,
    /// Secrets.
    pub secrets: Vec<Given>,
    /// Agents of ssh.
    pub agents: Vec<Given>,
}

/// ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Given, else the default; empty where there is none.
    pub value: String,
    /// What a comment says of it.
    pub description: Option<String>,
    /// Lines of the instruction, counted from 1.
    pub lines: Range<usize>,
    /// Where in the instruction its name stands.
    pub at: usize,
}

/// What RUN mounts and a build is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its id.
    pub name: String,
    /// The build fails without it.
    pub required: bool,
    /// Lines of the instruction, counted from 1.
    pub lines: Range<usize>,
}

impl Dockerfile {
    /// All stages.
    ///
    /// # Errors
    /// All mistakes of the stages.
    pub fn targets(&self, options: &Options) -> Result<Vec<Target>, Vec<Failure>> {
        let stages = Stages::of(self, options)?;
        let target = |number: usize| {
            let from = &stages.all.get(number)?.from;
            let line = self.line_of_from(number)?;
            let name = from.name.as_ref().map(|name| name.text.clone());
            let description = name.as_deref().and_then(|name| described(line, name));
            let platform = from.platform.as_ref().map(|word| word.text.clone());
            Some(Target { name, description, base: from.image.text.clone(), platform, lines: line.lines.clone() })
        };
        Ok((0..stages.all.len()).filter_map(target).collect())
    }

    /// What the target takes.
    ///
    /// # Errors
    /// All mistakes of the stages; a target that is none.
    pub fn outline(&self, options: &Options) -> Result<Outline, Vec<Failure>> {
        let stages = Stages::of(self, options)?;
        let target = stages.target(options).map_err(|failure| vec![failure])?;
        let no_triggers = |_: &_| Vec::new();
        let globals = self.globals(options).map_err(|failure| vec![failure])?;
        let mut all: BTreeMap<usize, Seen> = BTreeMap::new();
        for number in stages.needed(target, &no_triggers) {
            let seen = self.seen(&stages, number, options, &globals, &all).map_err(|failure| vec![failure])?;
            all.insert(number, seen);
        }
        let (mut done, mut open, mut merged) = (BTreeSet::new(), vec![target], Merged::default());
        while let Some(number) = open.pop() {
            let Some(seen) = all.get(&number).filter(|_| done.insert(number)) else { continue };
            merged.add(seen);
            open.extend(stages.needs(number, &no_triggers).into_iter().rev());
        }
        let name = stages.all.get(target).and_then(|stage| stage.from.name.as_ref()).map(|name| name.text.clone());
        let line = self.line_of_from(target);
        let description = name.as_deref().zip(line).and_then(|(name, line)| described(line, name));
        Ok(merged.outline(name, description))
    }

    fn line_of_from(&self, number: usize) -> Option<&Instruction> {
        self.instructions.iter().filter(|line| line.keyword == super::Keyword::From).nth(number)
    }

    /// Arguments before the first FROM, with what their defaults name.
    fn globals(&self, options: &Options) -> Result<Globals, Failure> {
        let mut globals = Globals { values: stages::platform_arguments(options), ..Globals::default() };
        for line in self.instructions.iter().take_while(|line| line.keyword != super::Keyword::From) {
            let Ok(Command::Arg(all)) = Command::of(line) else { continue };
            for (name, written) in &all {
                let (value, mut named) = self.value(line, name, written.as_ref(), options, &globals.values)?;
                if named.remove(&name.text)
                    && let Some(old) = globals.named.get(&name.text)
                {
                    named.extend(old.iter().cloned());
                }
                let argument = argument(line, name, value.as_deref());
                globals.values.extend(value.map(|value| (name.text.clone(), value)));
                globals.arguments.insert(name.text.clone(), argument);
                globals.named.insert(name.text.clone(), named);
            }
        }
        Ok(globals)
    }

    /// What an argument is worth, and the variables that its default names.
    fn value(
        &self,
        line: &Instruction,
        name: &Word,
        written: Option<&Word>,
        options: &Options,
        environment: &BTreeMap<String, String>,
    ) -> Result<(Option<String>, BTreeSet<String>), Failure> {
        if let Some(given) = options.build_args.get(&name.text) {
            return Ok((Some(given.clone()), BTreeSet::new()));
        }
        let Some(written) = written else { return Ok((None, BTreeSet::new())) };
        let (value, named) = self.expanded(line, written, environment)?;
        Ok((Some(value), named))
    }

    /// A word, and the variables in it that have a value.
    fn expanded(
        &self,
        line: &Instruction,
        word: &Word,
        environment: &BTreeMap<String, String>,
    ) -> Result<(String, BTreeSet<String>), Failure> {
        let named = RefCell::new(BTreeSet::new());
        let look = |name: &str| {
            let found = environment.get(name).cloned();
            if found.is_some() {
                named.borrow_mut().insert(name.to_owned());
            }
            found
        };
        let text = self.expand(line, word, &look)?;
        Ok((text, named.into_inner()))
    }

    fn seen(
        &self,
        stages: &Stages<'_>,
        number: usize,
        options: &Options,
        globals: &Globals,
        before: &BTreeMap<usize, Seen>,
    ) -> Result<Seen, Failure> {
        let mut seen = Seen { arguments: globals.arguments.clone(), ..Seen::default() };
        let Some(stage) = stages.all.get(number) else { return Ok(seen) };
        if let WrittenBase::Stage(base) = &stage.base
            && let Some(base) = before.get(base)
        {
            seen.environment.clone_from(&base.environment);
        }
        let mut used = BTreeSet::new();
        if let Some(line) = self.line_of_from(number) {
            for word in std::iter::once(&stage.from.image).chain(&stage.from.platform) {
                used.extend(self.expanded(line, word, &globals.values)?.1);
            }
        }
        for (line, command) in &stage.commands {
            match command {
                Command::Arg(all) => {
                    for (name, written) in all {
                        self.declared(line, name, written.as_ref(), options, stages, &mut seen)?;
                        used.insert(name.text.clone());
                    }
                }
                Command::Env(pairs) => {
                    let known = seen.environment.clone();
                    for pair in pairs {
                        let value = self.expand(line, &pair.value, &|name| known.get(name).cloned())?;
                        seen.environment.insert(pair.name.text.clone(), value);
                    }
                }
                Command::Run(run) => seen.mounts(line, run),
                _ => {}
            }
        }
        seen.used = globals.closed(used, &seen.arguments);
        Ok(seen)
    }

    fn declared(
        &self,
        line: &Instruction,
        name: &Word,
        written: Option<&Word>,
        options: &Options,
        stages: &Stages<'_>,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let (mut value, _) = self.value(line, name, written, options, &seen.environment)?;
        let inherited = stages.globals.get(&name.text).filter(|_| value.is_none());
        let is_inherited = inherited.is_some();
        value = value.or_else(|| inherited.cloned());
        if !is_inherited {
            seen.arguments.insert(name.text.clone(), argument(line, name, value.as_deref()));
        }
        seen.environment.extend(value.map(|value| (name.text.clone(), value)));
        Ok(())
    }
}

#[derive(Default)]
struct Globals {
    values: BTreeMap<String, String>,
    arguments: BTreeMap<String, Argument>,
    /// What the default of each names.
    named: BTreeMap<String, BTreeSet<String>>,
}

impl Globals {
    /// With the arguments that the defaults of others name. What a stage declares anew stands for itself.
    fn closed(&self, used: BTreeSet<String>, known: &BTreeMap<String, Argument>) -> BTreeSet<String> {
        let (mut all, mut open): (BTreeSet<String>, Vec<String>) = (BTreeSet::new(), used.into_iter().collect());
        while let Some(name) = open.pop() {
            let is_global = known.get(&name) == self.arguments.get(&name);
            if all.insert(name.clone()) && is_global {
                open.extend(self.named.get(&name).into_iter().flatten().cloned());
            }
        }
        all
    }
}

/// What one stage takes by itself.
#[derive(Default)]
struct Seen {
    arguments: BTreeMap<String, Argument>,
    used: BTreeSet<String>,
    secrets: Vec<Given>,
    agents: Vec<Given>,
    environment: BTreeMap<String, String>,
}

impl Seen {
    fn mounts(&mut self, line: &Instruction, run: &Run) {
        for text in &run.mounts {
            let look = |value: &str| Ok(value.to_owned());
            let Ok(mount) = mount::parse(&text.text, &look) else { continue };
            let of_target = || mount.target.as_deref().and_then(|target| target.rsplit('/').next()).map(str::to_owned);
            let id = mount.source.clone().filter(|_| mount.kind == MountKind::Secret).or(mount.id.clone());
            let given = |name: String| Given { name, required: mount.required, lines: line.lines.clone() };
            match mount.kind {
                MountKind::Secret => self.secrets.push(given(id.or_else(of_target).unwrap_or_default())),
                MountKind::Ssh => self.agents.push(given(id.unwrap_or_else(|| "default".to_owned()))),
                _ => {}
            }
        }
    }
}

/// Of all stages; the first that has a name decides.
#[derive(Default)]
struct Merged {
    arguments: BTreeMap<String, Argument>,
    secrets: BTreeMap<String, Given>,
    agents: BTreeMap<String, Given>,
}

impl Merged {
    fn add(&mut self, seen: &Seen) {
        for argument in seen.used.iter().filter_map(|name| seen.arguments.get(name)) {
            self.arguments.entry(argument.name.clone()).or_insert_with(|| argument.clone());
        }
        for (all, of_stage) in [(&mut self.secrets, &seen.secrets), (&mut self.agents, &seen.agents)] {
            for given in of_stage {
                all.entry(given.name.clone()).or_insert_with(|| given.clone());
            }
        }
    }

    fn outline(self, name: Option<String>, description: Option<String>) -> Outline {
        let mut arguments: Vec<Argument> = self.arguments.into_values().collect();
        arguments.sort_by_key(|argument| (argument.lines.start, argument.at));
        let sorted = |all: BTreeMap<String, Given>| {
            let mut all: Vec<Given> = all.into_values().collect();
            all.sort_by_key(|given| given.lines.start);
            all
        };
        Outline { name, description, arguments, secrets: sorted(self.secrets), agents: sorted(self.agents) }
    }
}

fn argument(line: &Instruction, name: &Word, value: Option<&str>) -> Argument {
    Argument {
        name: name.text.clone(),
        value: value.unwrap_or_default().to_owned(),
        description: described(line, &name.text),
        lines: line.lines.clone(),
        at: name.range.start,
    }
}

/// The comment right above that begins with the name.
fn described(line: &Instruction, name: &str) -> Option<String> {
    let comments = line.line.comments.iter();
    comments.filter_map(|comment| comment.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned).next()
}
