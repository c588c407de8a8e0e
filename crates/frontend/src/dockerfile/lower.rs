//! From stages to a recipe: each instruction's part in files and config.
//!
//! Variables are those before the line: `ENV a=1 b=$a` takes the old `a`. What needs an image's config asks for it, and is
//! asked again with the answer: nothing here reads anything.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_oci::{History, ImageConfig, RootFs};
use corten_plan::recipe::{Action, Base, BaseName, Files, Mount, MountKind, Recipe, RunAction, Stage, Step};

use super::Dockerfile;
use super::command::{Command, Healthcheck, Line, Run};
use super::copying;
use super::expand::Lexer;
use super::mount;
use super::signal::is_signal;
use super::stages::{Named, Options, Stages, WrittenBase};
use super::state::{COMMENT, State};
use super::syntax::{Instruction, Pair};
use super::words::Word;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments that change nothing in a result: they are in no history.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Arguments for the builder alone: no command sees them.
const SILENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What lowering came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Lowered {
    /// These images' configs are needed first.
    Asks(Vec<BaseName>),
    /// Everything is known.
    Done(Recipe),
}

/// Answers: the configs of images.
pub type Answers<'a> = &'a dyn Fn(&BaseName) -> Option<ImageConfig>;

impl Dockerfile {
    /// Makes a recipe of what the target needs.
    ///
    /// # Errors
    /// All mistakes that can be seen at once.
    pub fn lower(&self, options: &Options, answers: Answers<'_>) -> Result<Lowered, Vec<Failure>> {
        let stages = Stages::of(self, options)?;
        let one = |failure| vec![failure];
        let (epoch, target) = (stages.epoch().map_err(one)?, stages.target(options).map_err(one)?);
        let triggers = |name: &BaseName| {
            let texts = answers(name).and_then(|config| config.config.on_build).unwrap_or_default();
            texts.iter().flat_map(|text| trigger(text).unwrap_or_default()).map(|(_, command)| command).collect()
        };
        let needed: Vec<usize> = stages.needed(target, &triggers).into_iter().collect();
        let missing: Vec<BaseName> = needed
            .iter()
            .filter_map(|stage| match &stages.all[*stage].base {
                WrittenBase::Image(base) if answers(base).is_none() => Some(base.clone()),
                _ => None,
            })
            .collect();
        if !missing.is_empty() {
            return Ok(Lowered::Asks(missing));
        }
        let mut done: Vec<(Stage, State)> = Vec::new();
        for &number in &needed {
            let mut lowering = Lowering { stages: &stages, options, number, needed: &needed, state: State::default() };
            let stage = lowering.stage(&done, answers).map_err(one)?;
            done.push((stage, lowering.state));
        }
        // What comes after the target in the file is never needed by it: the target is the last.
        if let (Some((stage, _)), false) = (done.last_mut(), options.labels.is_empty()) {
            stage.config.config.labels.get_or_insert_default().extend(options.labels.clone());
        }
        Ok(Lowered::Done(Recipe { epoch, stages: done.into_iter().map(|(stage, _)| stage).collect() }))
    }
}

pub(super) struct Lowering<'s, 'd> {
    pub(super) stages: &'s Stages<'d>,
    options: &'s Options,
    pub(super) number: usize,
    needed: &'s [usize],
    pub(super) state: State,
}

impl Lowering<'_, '_> {
    fn stage(&mut self, done: &[(Stage, State)], answers: Answers<'_>) -> Result<Stage, Failure> {
        let written = &self.stages.all[self.number];
        let (base, rootfs) = match &written.base {
            WrittenBase::Scratch => {
                self.state.config.working_dir = "/".to_owned();
                (Base::Scratch, RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() })
            }
            WrittenBase::Folder(name) => {
                self.state.config.working_dir = "/".to_owned();
                self.state.steps.push(copying::whole_folder(name));
                self.state.say(format!("FROM {name}"));
                self.state.history.iter_mut().for_each(|last| last.empty_layer = false);
                (Base::Scratch, RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() })
            }
            WrittenBase::Image(name) => {
                let config = answers(name).ok_or_else(|| Failure::bug(format!("{} was not asked for", name.image)))?;
                self.state.history = config.history;
                self.state.author = config.author;
                self.state.config = config.config;
                (Base::Image(name.clone()), config.rootfs)
            }
            WrittenBase::Stage(stage) => {
                let place = self.place(*stage).and_then(|place| Some((place, done.get(place)?)));
                let (place, (base, state)) =
                    place.ok_or_else(|| Failure::bug("a stage was not lowered in its order"))?;
                self.state = State { steps: Vec::new(), has_cmd: false, ..state.clone() };
                (Base::Stage(place), base.config.rootfs.clone())
            }
        };
        let triggers = self.begin(matches!(written.base, WrittenBase::Stage(_)));
        for text in triggers {
            self.trigger(&text)?;
        }
        for (line, command) in &written.commands {
            self.command(line, command)?;
        }
        let name = written.from.name.as_ref().map_or_else(|| self.number.to_string(), |name| name.text.clone());
        let state = &mut self.state;
        let config = ImageConfig {
            created: None,
            author: state.author.clone(),
            architecture: written.platform.architecture.clone(),
            os: written.platform.os.clone(),
            variant: written.platform.variant.clone(),
            config: state.config.clone(),
            rootfs,
            history: state.history.clone(),
        };
        Ok(Stage { name, base, steps: std::mem::take(&mut state.steps), config })
    }

    /// Where a stage of the file stands in the recipe.
    pub(super) fn place(&self, number: usize) -> Option<usize> {
        self.needed.iter().position(|needed| *needed == number)
    }

    /// What every stage begins with; gives what its base wants done.
    fn begin(&mut self, inherits: bool) -> Vec<String> {
        let state = &mut self.state;
        if !inherits {
            if state.config.env.iter().flatten().all(|variable| !variable.starts_with("PATH=")) {
                state.set_in_config("PATH", DEFAULT_PATH);
            }
            state.folder =
                if state.config.working_dir.is_empty() { "/".to_owned() } else { state.config.working_dir.clone() };
        }
        // Of a stage, too: there an ARG may have gone before an ENV of its name.
        for variable in state.config.env.clone().unwrap_or_default() {
            let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
            state.set(name, value);
        }
        state.config.on_build.take().unwrap_or_default()
    }

    fn trigger(&mut self, text: &str) -> Result<(), Failure> {
        let written = &self.stages.all[self.number];
        let from = written.line.line.place(0..0).start;
        let at = self.stages.file.place(&written.line.line, written.line.name.range.clone());
        for (line, command) in trigger(text).map_err(|failure| failure.at(at.clone()))? {
            let known = self.state.steps.len();
            // Its places are those of another file.
            self.command(&line, &command).map_err(|failure| wanted(text, failure).at(at.clone()))?;
            self.state.steps.iter_mut().skip(known).for_each(|step| step.range = from..from);
        }
        Ok(())
    }

    pub(super) fn expand(&self, line: &Instruction, word: &Word) -> Result<String, Failure> {
        self.stages.file.expand(line, word, &|name| self.state.get(name))
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.state.get(name)
    }

    pub(super) fn failure(&self, line: &Instruction, word: &Word, message: impl Into<String>) -> Failure {
        Failure::input(message).at(self.stages.file.place(&line.line, word.range.clone()))
    }

    fn command(&mut self, line: &Instruction, command: &Command) -> Result<(), Failure> {
        match command {
            Command::From(_) => {}
            Command::Copy(copy) => {
                let (action, said) = copying::action(self, line, copy)?;
                self.step(line, Action::Copy(Box::new(action)), said);
            }
            Command::Run(run) => self.run(line, run)?,
            Command::Arg(all) => self.arg(line, all)?,
            Command::Env(pairs) => self.env(line, pairs)?,
            Command::Label(pairs) => self.label(line, pairs)?,
            Command::Cmd(words) => {
                let words = self.with_shell(words);
                self.state.say(format!("CMD {}", quoted(&words)));
                self.state.config.cmd = Some(words).filter(|words| !words.is_empty());
                self.state.has_cmd = true;
            }
            Command::Entrypoint(words) => {
                let words = self.with_shell(words);
                self.state.say(format!("ENTRYPOINT {}", quoted(&words)));
                self.state.config.entrypoint = Some(words).filter(|words| !words.is_empty());
                if !self.state.has_cmd {
                    self.state.config.cmd = None;
                }
            }
            Command::Expose(words) => self.expose(line, words)?,
            Command::Healthcheck(check) => self.healthcheck(line, check)?,
            Command::Maintainer(who) => {
                self.state.author = Some(who.text.clone());
                self.state.say(format!("MAINTAINER {}", who.text));
            }
            Command::Onbuild(text, _) => {
                self.state.config.on_build.get_or_insert_default().push(text.clone());
            }
            Command::Shell(words) => {
                self.state.say(format!("SHELL [{}]", words.join(" ")));
                self.state.config.shell = Some(words.clone());
            }
            Command::Stopsignal(word) => {
                let signal = self.expand(line, word)?;
                if !is_signal(&signal) {
                    return Err(self.failure(line, word, format!("'{signal}' is no signal")).hint("as SIGTERM or 15"));
                }
                self.state.say(format!("STOPSIGNAL {signal}"));
                self.state.config.stop_signal = Some(signal);
            }
            Command::User(word) => {
                let user = self.expand(line, word)?;
                self.state.say(format!("USER {user}"));
                self.state.config.user = user;
            }
            Command::Volume(words) => {
                let paths = words.iter().map(|word| self.expand(line, word)).collect::<Result<Vec<_>, _>>()?;
                self.state.say(format!("VOLUME [{}]", paths.join(" ")));
                let all = self.state.config.volumes.get_or_insert_default();
                all.extend(paths);
                all.sort();
                all.dedup();
            }
            Command::Workdir(word) => self.workdir(line, word)?,
        }
        Ok(())
    }

    fn step(&mut self, line: &Instruction, action: Action, created_by: String) {
        let range = line.line.place(line.name.range.start..line.line.text.len());
        self.state.history.push(History {
            created_by: Some(created_by.clone()),
            comment: Some(COMMENT.to_owned()),
            ..History::default()
        });
        self.state.steps.push(Step { action, created_by, range });
    }

    fn with_shell(&self, line: &Line) -> Vec<String> {
        match line {
            Line::Exec(words) => words.clone(),
            Line::Shell(text) => {
                let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let mut words = self.state.config.shell.clone().unwrap_or_else(default);
                words.push(text.clone());
                words
            }
        }
    }

    fn arg(&mut self, line: &Instruction, all: &[(Word, Option<Word>)]) -> Result<(), Failure> {
        let mut said = Vec::new();
        // All of a line are expanded before the first is set.
        let mut values = Vec::new();
        for (name, written) in all {
            let own = written.as_ref().map(|word| self.expand(line, word)).transpose()?;
            let global = || self.stages.globals.get(&name.text).cloned();
            values.push(self.options.build_args.get(&name.text).cloned().or(own).or_else(global));
        }
        for ((name, _), value) in all.iter().zip(values) {
            if let Some(value) = value.as_ref().filter(|_| !SILENT.contains(&name.text.as_str())) {
                self.state.set(&name.text, value);
            }
            said.push(match &value {
                Some(value) => format!("{}={value}", name.text),
                None => name.text.clone(),
            });
            self.state.arguments.push((name.text.clone(), value));
        }
        self.state.say(format!("ARG {}", said.join(" ")));
        Ok(())
    }

    fn pairs(&self, line: &Instruction, pairs: &[Pair]) -> Result<Vec<(String, String)>, Failure> {
        let both = |pair: &Pair| Ok((self.expand(line, &pair.name)?, self.expand(line, &pair.value)?));
        pairs.iter().map(both).collect()
    }

    fn env(&mut self, line: &Instruction, pairs: &[Pair]) -> Result<(), Failure> {
        let pairs = self.pairs(line, pairs)?;
        for (name, value) in &pairs {
            self.state.set(name, value);
            self.state.set_in_config(name, value);
        }
        self.state.say(format!("ENV {}", said(&pairs)));
        Ok(())
    }

    fn label(&mut self, line: &Instruction, pairs: &[Pair]) -> Result<(), Failure> {
        let pairs = self.pairs(line, pairs)?;
        self.state.config.labels.get_or_insert_default().extend(pairs.iter().cloned());
        self.state.say(format!("LABEL {}", said(&pairs)));
        Ok(())
    }

    fn workdir(&mut self, line: &Instruction, word: &Word) -> Result<(), Failure> {
        let written = self.expand(line, word)?;
        let path = join(&self.state.folder, &written);
        self.state.folder.clone_from(&path);
        // An absolute path stays as it was written.
        let told = if written.starts_with('/') { written } else { path.clone() };
        let said = format!("WORKDIR {told}");
        self.state.config.working_dir = told;
        if path == "/" {
            self.state.say(said);
        } else {
            let user = self.state.config.user.clone();
            self.step(line, Action::Folder { path, user }, said);
        }
        Ok(())
    }

    /// A path as COPY and mounts mean it: from the working folder.
    pub(super) fn in_folder(&self, path: &str) -> String {
        join(&self.state.folder, path)
    }

    fn expose(&mut self, line: &Instruction, words: &[Word]) -> Result<(), Failure> {
        let mut ports = Vec::new();
        // BuildKit's order: of the texts, before variables.
        let mut words: Vec<&Word> = words.iter().collect();
        words.sort_by(|one, other| one.text.cmp(&other.text));
        for word in words {
            let expanded = Lexer::new(self.stages.file.escape).expand(&word.text, &|name| self.state.get(name));
            let expanded = expanded.map_err(|error| self.failure(line, word, format!("{}: {error}", word.text)))?;
            for text in expanded.words {
                ports.extend(super::ports::ports(&text).map_err(|why| {
                    self.failure(line, word, format!("EXPOSE {text}: {why}")).hint("as 8000, 8000-8010 or 53/udp")
                })?);
            }
        }
        self.state.say(format!("EXPOSE [{}]", ports.join(" ")));
        let all = self.state.config.exposed_ports.get_or_insert_default();
        all.extend(ports);
        all.sort();
        all.dedup();
        Ok(())
    }

    fn healthcheck(&mut self, line: &Instruction, check: &Healthcheck) -> Result<(), Failure> {
        let (config, said) = super::health::config(check, &|word, why| self.failure(line, word, why))?;
        self.state.config.healthcheck = Some(config);
        self.state.say(said);
        Ok(())
    }

    fn run(&mut self, line: &Instruction, run: &Run) -> Result<(), Failure> {
        let (command, script) = self.script(run);
        let arguments = self.with_shell(&command);
        let mounts = self.mounts(line, &run.mounts)?;
        let one_of = |word: &Option<Word>, known: &[&str], what: &str| match word {
            None => Ok(known.first().copied().unwrap_or_default().to_owned()),
            Some(word) if known.contains(&word.text.as_str()) => Ok(word.text.clone()),
            Some(word) => Err(self
                .failure(line, word, format!("there is no {what} {}", word.text))
                .hint(format!("there are {}", known.join(", ")))),
        };
        let network = one_of(&run.network, &["default", "none", "host"], "network")?;
        let security = one_of(&run.security, &["sandbox", "insecure"], "security")?;
        let devices = run.devices.iter().map(|word| self.expand(line, word)).collect::<Result<_, _>>()?;
        let said = self.said_of_run(&arguments);
        let action = RunAction {
            arguments,
            environment: self.environment(&mounts),
            proxies: self.proxies(),
            folder: self.state.folder.clone(),
            user: self.state.config.user.clone(),
            mounts,
            script,
            network,
            security,
            devices,
        };
        self.step(line, Action::Run(Box::new(action)), said);
        Ok(())
    }

    /// The command line with its here-documents: a script of its own, the shell's input, or lines that the shell reads.
    fn script(&self, run: &Run) -> (Line, Option<(String, String)>) {
        let (Line::Shell(text), Some(first)) = (&run.line, run.heredocs.first()) else {
            return (run.line.clone(), None);
        };
        if super::heredoc::one(text).is_none() {
            let documents = run.heredocs.iter().map(|one| format!("\n{}{}", one.content, one.name));
            return (Line::Shell(format!("{text}{}", documents.collect::<String>())), None);
        }
        if first.meant().starts_with("#!") {
            let path = format!("/dev/pipes/{}", first.name);
            return (Line::Shell(path), Some((first.name.clone(), first.meant())));
        }
        (Line::Shell(first.meant()), None)
    }

    /// With their targets; the outer ones first.
    fn mounts(&self, line: &Instruction, words: &[Word]) -> Result<Vec<(Mount, Files)>, Failure> {
        let mut mounts = words.iter().map(|word| self.mount(line, word)).collect::<Result<Vec<_>, _>>()?;
        let mut agents = 0;
        for (mount, _) in &mut mounts {
            let target = mount.target.as_deref().map(|target| join(&self.state.folder, target));
            mount.target = match mount.kind {
                MountKind::Secret => {
                    let named = target.as_deref().and_then(|target| target.rsplit('/').next()).map(str::to_owned);
                    let id = mount.id.get_or_insert_with(|| named.unwrap_or_default()).clone();
                    target.or_else(|| mount.env.is_none().then(|| format!("/run/secrets/{id}")))
                }
                MountKind::Ssh => {
                    let number = agents;
                    agents += 1;
                    Some(target.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{number}")))
                }
                _ => target,
            };
        }
        mounts.sort_by(|(one, _), (other, _)| one.target.cmp(&other.target));
        Ok(mounts)
    }

    /// With the socket of an agent, where one is mounted.
    fn environment(&self, mounts: &[(Mount, Files)]) -> Vec<(String, String)> {
        const SOCKET: &str = "SSH_AUTH_SOCK";
        let mut all = self.state.environment.clone();
        let agent = mounts.iter().find(|(mount, _)| mount.kind == MountKind::Ssh);
        if let (Some((Mount { target: Some(target), .. }, _)), None) = (agent, self.state.get(SOCKET)) {
            all.push((SOCKET.to_owned(), target.clone()));
        }
        all
    }

    fn mount(&self, line: &Instruction, word: &Word) -> Result<(Mount, Files), Failure> {
        let expand = |text: &str| {
            let value = Word { text: text.to_owned(), range: word.range.clone() };
            self.expand(line, &value).map_err(|failure| failure.to_string())
        };
        let mount = mount::parse(&word.text, &expand)
            .map_err(|why| self.failure(line, word, format!("--mount={}: {why}", word.text)))?;
        let files = match (&mount.from, mount.kind) {
            (Some(from), _) => self.files(from, line, word)?,
            (None, MountKind::Bind) => Files::Context,
            (None, _) => Files::None,
        };
        Ok((mount, files))
    }

    /// What `--from` and `from=` name: an earlier stage, else an image.
    pub(super) fn files(&self, name: &str, line: &Instruction, word: &Word) -> Result<Files, Failure> {
        let file = |number: usize| self.place(number).map(Files::Stage);
        if let Some(files) = self.stages.numbered(name, self.number).and_then(file) {
            return Ok(files);
        }
        let own = self.stages.all[self.number].from.name.as_ref().map(|own| own.text.as_str());
        if own.is_some_and(|own| own.eq_ignore_ascii_case(name)) {
            return Err(self.failure(line, word, format!("stage {name} cannot copy from itself")));
        }
        if self.stages.named(name, self.stages.all.len()).is_some() {
            let message = format!("stage {name} stands below this line");
            return Err(self.failure(line, word, message).hint("move it above: files are copied from earlier stages"));
        }
        let platform = self.stages.all[self.number].platform.clone();
        match (self.options.context(name), name.parse::<corten_oci::Reference>()) {
            (Some((name, Named::Folder)), _) => return Ok(Files::Folder(name.to_owned())),
            (Some((name, Named::Image)), _) => return Ok(Files::Image(BaseName { image: name.to_owned(), platform })),
            (None, Ok(_)) => {}
            (None, Err(error)) => {
                return Err(self.failure(line, word, format!("'{name}' is no stage and no image: {error}")));
            }
        }
        Ok(Files::Image(BaseName { image: name.to_owned(), platform }))
    }

    /// With the arguments that it sees, as docker shows them.
    fn said_of_run(&self, arguments: &[String]) -> String {
        let mut seen: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.state.arguments {
            let value = self.state.get(name).or_else(|| value.clone()).unwrap_or_default();
            match seen.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => seen.push((name, value)),
            }
        }
        let mut said = String::from("RUN ");
        if !seen.is_empty() {
            said.push_str(&format!("|{} ", seen.len()));
            seen.iter().for_each(|(name, value)| said.push_str(&format!("{name}={value} ")));
        }
        format!("{said}{} # buildkit", arguments.join(" "))
    }

    /// Each in both cases, however it was given.
    fn proxies(&self) -> Vec<(String, String)> {
        let all: &BTreeMap<String, String> = &self.options.build_args;
        let both = PROXIES.iter().flat_map(|name| {
            let names = [(*name).to_owned(), name.to_ascii_lowercase()];
            let values = names.each_ref().map(|name| all.get(name));
            let values = [values[0].or(values[1]), values[1].or(values[0])];
            names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?.clone())))
        });
        both.collect()
    }
}

fn wanted(text: &str, failure: Failure) -> Failure {
    Failure::input(format!("what the base wants done here fails: ONBUILD {text}")).because(failure)
}

/// What a base wants done, from the text in its config.
fn trigger(text: &str) -> Result<Vec<(Instruction, Command)>, Failure> {
    let wrap = |failure| wanted(text, failure);
    let file = Dockerfile::read(std::path::Path::new("ONBUILD"), text)
        .map_err(|failures| failures.into_iter().next().map_or_else(|| Failure::input("ONBUILD is empty"), wrap))?;
    let understood = file.instructions.iter().map(|line| {
        let command = Command::of(line).map_err(|mistake| wrap(file.failure(&line.line, mistake)))?;
        match command {
            Command::From(_) | Command::Onbuild(..) | Command::Maintainer(_) => {
                Err(wrap(Failure::input(format!("{} cannot stand there", line.keyword.name()))))
            }
            command => Ok((line.clone(), command)),
        }
    });
    understood.collect()
}

fn said(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// As Go prints a list of texts.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| go_quoted(word)).collect();
    format!("[{}]", words.join(" "))
}

/// `%q` of Go.
fn go_quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for letter in word.chars() {
        let is_blank = letter.is_whitespace() && letter != ' ';
        let is_hidden = matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => text.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ if letter.is_control() || is_blank || is_hidden => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// Clean and absolute.
pub(super) fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
