//! The stages of a file and the arguments before them: what each FROM means, and which stages the target needs.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Failure;
use corten_oci::Platform;
use corten_plan::recipe::BaseName;

use super::Dockerfile;
use super::command::{Command, From};
use super::expand::Lexer;
use super::mount;
use super::syntax::Instruction;
use super::words::Word;

/// How a file is built.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--target`: a stage's name or number; the last one where absent.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// What the image is for.
    pub platform: Platform,
    /// What builds it.
    pub build_platform: Platform,
    /// `--build-context`: what names stand for. They go before stages and images of the same name.
    pub contexts: BTreeMap<String, Named>,
    /// `--label`: of the target's image.
    pub labels: BTreeMap<String, String>,
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A folder.
    Folder,
    /// An image, which is asked for by this name.
    Image,
}

impl Options {
    /// For a machine, with nothing asked for.
    pub fn new(platform: Platform, build_platform: Platform) -> Self {
        Self {
            target: None,
            build_args: BTreeMap::new(),
            platform,
            build_platform,
            contexts: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Arguments that every build has: those of the platforms, the target, what is given of them.
    pub fn platform_arguments(&self) -> BTreeMap<String, String> {
        platform_arguments(self)
    }

    /// The context of a name, as it was given, however the Dockerfile writes the name: `python`, `python:latest` and
    /// `docker.io/library/python` are one.
    pub fn context(&self, name: &str) -> Option<(&str, Named)> {
        let wanted = familiar(name);
        self.contexts.iter().find(|(known, _)| familiar(known) == wanted).map(|(known, kind)| (known.as_str(), *kind))
    }
}

/// A name with all that Docker leaves out.
fn familiar(name: &str) -> String {
    // Stages are the same in any case; tags are not.
    let name = if name.contains(':') { name.to_owned() } else { name.to_lowercase() };
    match name.parse::<corten_oci::Reference>() {
        Ok(reference) => {
            let tag = match (&reference.tag, &reference.digest) {
                (None, None) => ":latest".to_owned(),
                (Some(tag), None) => format!(":{tag}"),
                (_, Some(digest)) => format!("@{digest}"),
            };
            format!("{}{tag}", reference.repository.normalised())
        }
        Err(_) => name,
    }
}

/// A stage as it is written.
pub(super) struct Written {
    pub(super) from: From,
    /// FROM's.
    pub(super) line: Instruction,
    pub(super) base: WrittenBase,
    pub(super) platform: Platform,
    /// A context of its name stands for it: nothing of it is done.
    pub(super) is_replaced: bool,
    /// After FROM.
    pub(super) commands: Vec<(Instruction, Command)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WrittenBase {
    Scratch,
    Stage(usize),
    Image(BaseName),
    /// A folder of `--build-context`.
    Folder(String),
}

/// All stages.
pub(super) struct Stages<'d> {
    pub(super) file: &'d Dockerfile,
    pub(super) all: Vec<Written>,
    /// Arguments before the first FROM, and those that every build has.
    pub(super) globals: BTreeMap<String, String>,
}

impl<'d> Stages<'d> {
    pub(super) fn of(file: &'d Dockerfile, options: &Options) -> Result<Self, Vec<Failure>> {
        let mut stages = Self { file, all: Vec::new(), globals: platform_arguments(options) };
        let mut mistakes = Vec::new();
        for instruction in &file.instructions {
            let done = match Command::of(instruction) {
                Ok(command) => stages.add(instruction, command, options),
                Err(mistake) => Err(file.failure(&instruction.line, mistake)),
            };
            mistakes.extend(done.err());
        }
        if mistakes.is_empty() && stages.all.is_empty() {
            mistakes.push(Failure::input("there is no FROM: nothing to build").hint("begin with FROM and an image"));
        }
        if mistakes.is_empty() { Ok(stages) } else { Err(mistakes) }
    }

    fn add(&mut self, instruction: &Instruction, command: Command, options: &Options) -> Result<(), Failure> {
        match command {
            Command::From(from) => {
                let (base, platform) = self.base(instruction, &from, options)?;
                let replaced = from.name.as_ref().and_then(|name| options.context(&name.text));
                let (base, is_replaced) = match replaced {
                    None => (base, false),
                    Some((name, Named::Folder)) => (WrittenBase::Folder(name.to_owned()), true),
                    Some((name, Named::Image)) => {
                        let base = BaseName { image: name.to_owned(), platform: platform.clone() };
                        (WrittenBase::Image(base), true)
                    }
                };
                self.all.push(Written {
                    from,
                    line: instruction.clone(),
                    base,
                    platform,
                    is_replaced,
                    commands: Vec::new(),
                });
            }
            Command::Arg(arguments) if self.all.is_empty() => self.global(instruction, &arguments, options)?,
            command => match self.all.last_mut() {
                Some(stage) if stage.is_replaced => {}
                Some(stage) => stage.commands.push((instruction.clone(), command)),
                None => {
                    let message = format!("{} before any FROM", instruction.keyword.name());
                    let at = self.file.place(&instruction.line, instruction.name.range.clone());
                    return Err(Failure::input(message).hint("only ARG may stand there").at(at));
                }
            },
        }
        Ok(())
    }

    fn global(&mut self, line: &Instruction, all: &[(Word, Option<Word>)], options: &Options) -> Result<(), Failure> {
        for (name, value) in all {
            let value = match (options.build_args.get(&name.text), value) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(value)) => Some(self.expand(line, value)?),
                (None, None) => None,
            };
            if let Some(value) = value {
                self.globals.insert(name.text.clone(), value);
            }
        }
        Ok(())
    }

    fn expand(&self, line: &Instruction, word: &Word) -> Result<String, Failure> {
        self.file.expand(line, word, &|name| self.globals.get(name).cloned())
    }

    fn base(&self, line: &Instruction, from: &From, options: &Options) -> Result<(WrittenBase, Platform), Failure> {
        let failure =
            |message: String, word: &Word| Failure::input(message).at(self.file.place(&line.line, word.range.clone()));
        let platform = match &from.platform {
            None => options.platform.clone(),
            Some(word) => {
                let text = self.expand(line, word)?;
                platform(&text)
                    .ok_or_else(|| failure(format!("'{text}' is no platform"), word).hint("write it as linux/arm64"))?
            }
        };
        let name = self.expand(line, &from.image)?;
        if name.is_empty() {
            let hint = "an ARG before the first FROM gives it a value: ARG NAME=value";
            return Err(
                failure(format!("FROM {} names no image: it is empty", from.image.text), &from.image).hint(hint)
            );
        }
        if let Some(stage) = self.named(&name, self.all.len()) {
            return Ok((WrittenBase::Stage(stage), platform));
        }
        match options.context(&name) {
            Some((name, Named::Folder)) => return Ok((WrittenBase::Folder(name.to_owned()), platform)),
            Some((name, Named::Image)) => {
                let base = BaseName { image: name.to_owned(), platform: platform.clone() };
                return Ok((WrittenBase::Image(base), platform));
            }
            None => {}
        }
        if name == "scratch" {
            return Ok((WrittenBase::Scratch, platform));
        }
        if let Err(error) = name.parse::<corten_oci::Reference>() {
            return Err(failure(format!("FROM '{name}': {error}"), &from.image));
        }
        Ok((WrittenBase::Image(BaseName { image: name, platform: platform.clone() }), platform))
    }

    /// The last stage of this name before the `before`th; names are the same in any case.
    pub(super) fn named(&self, name: &str, before: usize) -> Option<usize> {
        let is_it =
            |stage: &Written| stage.from.name.as_ref().is_some_and(|known| known.text.eq_ignore_ascii_case(name));
        self.all.iter().take(before).rposition(is_it)
    }

    /// A stage by its name or number, for COPY --from and --target.
    pub(super) fn numbered(&self, text: &str, before: usize) -> Option<usize> {
        self.named(text, before).or_else(|| text.parse().ok().filter(|number| *number < before))
    }

    /// SOURCE_DATE_EPOCH, given or of the file.
    pub(super) fn epoch(&self) -> Result<Option<u64>, Failure> {
        let Some(text) = self.globals.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Failure::input(format!("SOURCE_DATE_EPOCH={text} is no time"))
                .hint("seconds since 1970, as `git log -1 --format=%ct` prints them; a stage is not taken here")
        })
    }

    pub(super) fn target(&self, options: &Options) -> Result<usize, Failure> {
        let Some(target) = &options.target else { return Ok(self.all.len().saturating_sub(1)) };
        self.numbered(target, self.all.len()).ok_or_else(|| {
            let names: Vec<&str> =
                self.all.iter().filter_map(|stage| Some(stage.from.name.as_ref()?.text.as_str())).collect();
            Failure::usage(format!("--target: there is no stage {target}")).hint(match names.is_empty() {
                true => "no stage has a name; their numbers begin with 0".to_owned(),
                false => format!("there are {}", names.join(", ")),
            })
        })
    }

    /// What the target needs, itself with it, in the order of the file. `triggers` are what an image wants done where one
    /// builds on it.
    pub(super) fn needed(&self, target: usize, triggers: &dyn Fn(&BaseName) -> Vec<Command>) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open = vec![target];
        while let Some(stage) = open.pop() {
            if needed.insert(stage) {
                open.extend(self.needs(stage, triggers));
            }
        }
        needed
    }

    /// What a stage needs by itself, its base first.
    pub(super) fn needs(&self, number: usize, triggers: &dyn Fn(&BaseName) -> Vec<Command>) -> Vec<usize> {
        let stage = &self.all[number];
        let (base, triggered) = match &stage.base {
            WrittenBase::Scratch | WrittenBase::Folder(_) => (None, Vec::new()),
            WrittenBase::Image(name) => (None, triggers(name)),
            WrittenBase::Stage(base) => (Some(*base), self.all[*base].triggers()),
        };
        let commands = stage.commands.iter().map(|(_, command)| command).chain(&triggered);
        let names: Vec<String> = commands.flat_map(froms).collect();
        base.into_iter().chain(names.iter().filter_map(|name| self.numbered(name, number))).collect()
    }
}

impl Written {
    fn triggers(&self) -> Vec<Command> {
        let triggered = self.commands.iter().filter_map(|(_, command)| match command {
            Command::Onbuild(_, command) => Some(command.as_ref().clone()),
            _ => None,
        });
        triggered.collect()
    }
}

/// What a command takes files from.
fn froms(command: &Command) -> Vec<String> {
    match command {
        Command::Copy(copy) => copy.from.iter().map(|from| from.text.clone()).collect(),
        Command::Run(run) => run.mounts.iter().filter_map(|mount| from_of(&mount.text)).collect(),
        _ => Vec::new(),
    }
}

/// What a mount is from; its variables do not matter for that.
fn from_of(text: &str) -> Option<String> {
    mount::parse(text, &|value| Ok(value.to_owned())).ok().and_then(|mount| mount.from).or_else(|| {
        let from = text.split(',').find_map(|field| field.strip_prefix("from="));
        from.map(str::to_owned)
    })
}

fn platform(text: &str) -> Option<Platform> {
    let mut parts = text.split('/').map(str::to_owned);
    let (os, architecture, variant) = (parts.next()?, parts.next()?, parts.next());
    (parts.next().is_none() && !os.is_empty() && !architecture.is_empty()).then_some(Platform {
        os,
        architecture,
        variant,
    })
}

/// Those that every build has.
pub(super) fn platform_arguments(options: &Options) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, platform) in [("TARGET", &options.platform), ("BUILD", &options.build_platform)] {
        let mut add = |name: &str, value: String| all.insert(format!("{prefix}{name}"), value);
        add("PLATFORM", platform.to_string());
        add("OS", platform.os.clone());
        add("OSVERSION", String::new());
        add("ARCH", platform.architecture.clone());
        add("VARIANT", platform.variant.clone().unwrap_or_default());
    }
    all.insert("TARGETSTAGE".to_owned(), options.target.clone().unwrap_or_else(|| "default".to_owned()));
    all.extend(
        options.build_args.get("SOURCE_DATE_EPOCH").map(|given| ("SOURCE_DATE_EPOCH".to_owned(), given.clone())),
    );
    // Those that are given win.
    for (name, value) in &mut all {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    all
}

impl Dockerfile {
    /// How many stages it has.
    pub fn stages(&self) -> usize {
        self.instructions.iter().filter(|line| line.keyword == super::Keyword::From).count()
    }

    /// The stages that the target needs, by their numbers; none where the file has mistakes, or no such target.
    pub fn needed(&self, options: &Options) -> Option<BTreeSet<usize>> {
        let stages = Stages::of(self, options).ok()?;
        let target = stages.target(options).ok()?;
        Some(stages.needed(target, &|_| Vec::new()))
    }

    /// Expands one word of an instruction.
    pub(super) fn expand(
        &self,
        line: &Instruction,
        word: &Word,
        variables: super::Variables<'_>,
    ) -> Result<String, Failure> {
        let expanded = Lexer::new(self.escape).expand(&word.text, variables);
        expanded.map(|expanded| expanded.text).map_err(|error| {
            Failure::input(format!("{}: {error}", word.text)).at(self.place(&line.line, word.range.clone()))
        })
    }
}
