//! A Dockerfile as BuildKit's frontend goes through it: which words have variables without a value, what names, folders and ports
//! come out, which of several CMD counts. The checks look at this, and at nothing else.
//!
//! Its order is that of `dockerfile2llb/convert.go`: arguments before the first FROM, then FROM by FROM, then stage by stage, each
//! instruction with the variables before it. A stage that stands on another has its variables, its SHELL and its WORKDIR.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use corten_frontend::dockerfile::{Command, Dockerfile, Expanded, From, Lexer, Options, Source, Word};
use corten_oci::{ContainerConfig, Reference};

/// Arguments for the builder alone, of which the environment knows nothing.
const SILENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Variables that are copied from stage to stage, and triggers that are done, in all; of what comes beyond nothing is known. Files of
/// people need some hundred.
const MOST: usize = 500_000;

/// Among more names nobody looks for the one that was meant.
const MOST_NAMES: usize = 1000;

/// Bytes of a name that others are held against.
const LONGEST_NAME: usize = 100;

/// Bytes that the variables of one word may come to: `ENV B=$A$A`, again and again, is no use to anybody.
const LONGEST: usize = 8 << 10;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The config of an image that FROM names; none where it is not known.
pub type ConfigOf<'a> = &'a dyn Fn(&str) -> Option<ContainerConfig>;

/// Arguments before the first FROM.
type Globals = BTreeMap<String, String>;

/// All instructions, in the order of the file.
#[derive(Debug, Default)]
pub struct Walk {
    pub seen: Vec<Seen>,
}

/// System, processor and variant that an image was built for.
type BuiltFor = (String, String, Option<String>);

impl Walk {
    /// Notes where an image was built for another machine than is wanted.
    pub fn compare_platforms(&mut self, options: &Options, built_for: &dyn Fn(&str) -> Option<BuiltFor>) {
        for from in self.seen.iter_mut().filter_map(|seen| seen.from.as_mut()) {
            let Some((image, (system, processor, variant))) =
                from.image.as_ref().and_then(|image| Some((image.clone(), built_for(image)?)))
            else {
                continue;
            };
            let wanted = match &from.platform {
                Some(platform) => platform.value.clone(),
                None => options.platform.to_string(),
            };
            let mut parts = wanted.split('/');
            let is_same = parts.next() == Some(system.as_str()) && parts.next() == Some(processor.as_str());
            if !is_same {
                let has = [Some(system), Some(processor), variant].into_iter().flatten().collect::<Vec<_>>().join("/");
                from.other_platform = Some((image, has, wanted));
            }
        }
    }
}

/// What is known of one instruction.
#[derive(Debug, Default)]
pub struct Seen {
    /// None where it cannot be understood.
    pub command: Option<Command>,
    /// None before the first FROM.
    pub stage: Option<usize>,
    /// Is it done at all? What the target does not need is not.
    pub is_needed: bool,
    /// Variables without a value.
    pub unset: Vec<Unset>,
    /// Names that ENV and ARG set.
    pub names: Vec<(String, Word)>,
    /// The folder of WORKDIR, where it is the first of the stage and of those below.
    pub first_folder: Option<String>,
    /// Paths of the context that COPY and ADD take.
    pub sources: Vec<(String, Word)>,
    /// What EXPOSE names.
    pub ports: Vec<(String, Word)>,
    /// A SHELL was set before, here or by the image; none where the image is not known.
    pub has_shell: Option<bool>,
    /// The later instruction of the same stage because of which this one counts for nothing.
    pub replaced_by: Option<usize>,
    /// Of FROM.
    pub from: Option<SeenFrom>,
}

/// A variable without a value.
#[derive(Debug)]
pub struct Unset {
    pub name: String,
    /// What was probably meant.
    pub near: Option<String>,
    /// The word that names it.
    pub word: Word,
}

/// FROM.
#[derive(Debug)]
pub struct SeenFrom {
    /// The image that is asked for; none for a stage, `scratch`, or a name that cannot be read.
    pub image: Option<String>,
    /// The image, without what `--build-arg` gives; none where it cannot be read.
    pub by_default: Option<String>,
    /// Arguments that nothing declares, with what was probably meant.
    pub undeclared: Vec<Unset>,
    /// `--platform` with its variables.
    pub platform: Option<Platform>,
    /// The image, what it was built for and what is wanted, where these differ.
    pub other_platform: Option<(String, String, String)>,
}

/// `--platform`.
#[derive(Debug)]
pub struct Platform {
    pub value: String,
    pub word: Word,
    /// No variable stands in it.
    pub is_constant: bool,
    /// It is `$TARGETPLATFORM`, and nothing else.
    pub is_target: bool,
}

/// What the next instruction of a stage finds.
#[derive(Debug, Clone)]
struct State {
    /// Values, each with its place in the order in which they were set.
    environment: HashMap<String, (usize, String)>,
    /// How often something was set.
    sets: usize,
    /// ARG, with a value or without.
    declared: BTreeSet<String>,
    has_folder: bool,
    has_shell: bool,
    /// Is all that an image brings known?
    is_known: bool,
}

impl State {
    fn of(config: Option<&ContainerConfig>) -> Self {
        let mut state = Self {
            environment: HashMap::new(),
            sets: 0,
            declared: BTreeSet::new(),
            has_folder: false,
            has_shell: config.is_some_and(|config| config.shell.as_ref().is_some_and(|shell| !shell.is_empty())),
            is_known: config.is_some(),
        };
        for text in config.and_then(|config| config.env.as_deref()).unwrap_or_default() {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            state.set(name, value);
        }
        if state.get("PATH").is_none() {
            state.set("PATH", DEFAULT_PATH);
        }
        state
    }

    fn get(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(|(_, value)| value.clone())
    }

    /// Names in the order in which they were set; none where there are too many.
    fn names(&self) -> Vec<&str> {
        if self.environment.len() > MOST_NAMES {
            return Vec::new();
        }
        let mut names: Vec<(usize, &str)> =
            self.environment.iter().map(|(name, (at, _))| (*at, name.as_str())).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.sets += 1;
        self.environment.insert(name.to_owned(), (self.sets, value.to_owned()));
    }
}

/// Goes through a file.
pub struct Walker<'w> {
    file: &'w Dockerfile,
    options: &'w Options,
    config_of: ConfigOf<'w>,
    walk: Walk,
    /// Arguments before the first FROM, and those that every build has.
    globals: Globals,
    /// Those that are declared, with a value or without.
    declared: BTreeSet<String>,
    /// With defaults alone.
    defaults: Globals,
    /// Of each stage: its name, where its FROM is, its state at the end, and what it wants done in those above.
    stages: Vec<Stage>,
    /// Stages by their names; of equal ones the last.
    names: HashMap<String, usize>,
    /// What may still be copied.
    left: usize,
}

struct Stage {
    state: State,
    triggers: Vec<Command>,
}

impl<'w> Walker<'w> {
    /// `config_of` is asked for images alone, never for stages or `scratch`.
    pub fn walk(file: &'w Dockerfile, options: &'w Options, config_of: ConfigOf<'w>) -> Walk {
        let given = options.platform_arguments();
        let mut walker = Self {
            file,
            options,
            config_of,
            walk: Walk::default(),
            globals: given.clone(),
            declared: given.keys().cloned().collect(),
            defaults: given,
            stages: Vec::new(),
            names: HashMap::new(),
            left: MOST,
        };
        for instruction in &file.instructions {
            walker.walk.seen.push(Seen { command: Command::of(instruction).ok(), ..Seen::default() });
        }
        walker.globals();
        walker.stages();
        walker.find_needed();
        walker.walk
    }

    fn command(&self, at: usize) -> Option<Command> {
        self.walk.seen.get(at).and_then(|seen| seen.command.clone())
    }

    fn globals(&mut self) {
        for at in 0..self.walk.seen.len() {
            match self.command(at) {
                Some(Command::From(_)) => return,
                Some(Command::Arg(all)) => all.iter().for_each(|(name, value)| self.global(&name.text, value.as_ref())),
                _ => {}
            }
        }
    }

    fn global(&mut self, name: &str, value: Option<&Word>) {
        self.declared.insert(name.to_owned());
        let given = self.options.build_args.get(name).cloned();
        let of = |all: &Globals| value.and_then(|value| Some(expanded(self.file.escape, &value.text, all)?.text));
        let (with, without) = (given.or_else(|| of(&self.globals)), of(&self.defaults));
        self.globals.extend(with.map(|value| (name.to_owned(), value)));
        self.defaults.extend(without.map(|value| (name.to_owned(), value)));
    }

    /// FROM by FROM, then what follows it: nothing that a FROM means depends on what is between two of them.
    fn stages(&mut self) {
        let mut state: Option<State> = None;
        let mut last: BTreeMap<&'static str, usize> = BTreeMap::new();
        for at in 0..self.walk.seen.len() {
            let Some(command) = self.command(at) else { continue };
            if let Command::From(from) = &command {
                self.finish(state.take());
                last.clear();
                state = Some(self.from(at, from));
                self.walk.seen[at].stage = Some(self.stages.len().saturating_sub(1));
                continue;
            }
            let Some(state) = &mut state else { continue };
            self.walk.seen[at].stage = self.stages.len().checked_sub(1);
            if let Some(kind) = once(&command)
                && let Some(earlier) = last.insert(kind, at)
            {
                self.walk.seen[earlier].replaced_by = Some(at);
            }
            self.instruction(at, &command, state);
            if let (Command::Onbuild(_, inner), Some(stage)) = (&command, self.stages.last_mut()) {
                stage.triggers.push(inner.as_ref().clone());
            }
        }
        self.finish(state);
    }

    fn finish(&mut self, state: Option<State>) {
        if let (Some(state), Some(stage)) = (state, self.stages.last_mut()) {
            stage.state = state;
        }
    }

    fn from(&mut self, at: usize, from: &From) -> State {
        let escape = self.file.escape;
        let image = expanded(escape, &from.image.text, &self.globals);
        let by_default = expanded(escape, &from.image.text, &self.defaults).map(|expanded| expanded.text);
        let mut undeclared = Vec::new();
        if let Some(image) = &image {
            self.undeclared(&mut undeclared, image, &from.image);
        }
        let platform = from.platform.as_ref().and_then(|word| {
            let (value, asked) = expanded_with_names(escape, &word.text, &self.globals)?;
            self.undeclared(&mut undeclared, &value, word);
            Some(self.platform(word, value, &asked))
        });
        let name = image.map(|image| image.text).unwrap_or_default();
        let below = self.stage(&name);
        let config = if below.is_none() { self.config(&name, from) } else { None };
        let state = match below {
            Some(below) => self.inherited(below),
            None if name == "scratch" => State::of(Some(&ContainerConfig::default())),
            None => State::of(config.as_ref()),
        };
        let image = (below.is_none() && name != "scratch" && !name.is_empty()).then(|| name.clone());
        self.walk.seen[at].from = Some(SeenFrom { image, by_default, undeclared, platform, other_platform: None });
        if let Some(name) = &from.name {
            self.names.insert(name.text.to_lowercase(), self.stages.len());
        }
        self.stages.push(Stage { state: State::of(None), triggers: Vec::new() });
        state
    }

    /// What a stage leaves for one that stands on it, its triggers done.
    fn inherited(&mut self, below: usize) -> State {
        let Some(stage) = self.stages.get(below) else { return State::of(None) };
        let cost = 1 + stage.state.environment.len() + stage.state.declared.len() + stage.triggers.len();
        let Some(left) = self.left.checked_sub(cost) else { return State::of(None) };
        let mut state = stage.state.clone();
        stage.triggers.iter().for_each(|trigger| self.effect(trigger, &mut state));
        self.left = left;
        state
    }

    fn config(&self, name: &str, from: &From) -> Option<ContainerConfig> {
        let is_replaced = from.name.as_ref().is_some_and(|name| self.options.context(&name.text).is_some());
        if is_replaced || name.is_empty() || self.options.context(name).is_some() {
            return None;
        }
        (self.config_of)(name)
    }

    fn stage(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_lowercase()).copied()
    }

    fn undeclared(&self, all: &mut Vec<Unset>, value: &Expanded, word: &Word) {
        let names: Vec<&str> = self.declared.iter().map(String::as_str).take(MOST_NAMES).collect();
        for name in value.unset.iter().filter(|name| !self.declared.contains(*name)) {
            all.push(Unset { name: name.clone(), near: near(name, &names), word: word.clone() });
        }
    }

    fn platform(&self, word: &Word, value: Expanded, asked: &BTreeSet<String>) -> Platform {
        let target = self.globals.get("TARGETPLATFORM").map(String::as_str);
        let is_alone = asked.len() == 1 && asked.contains("TARGETPLATFORM");
        Platform {
            is_constant: asked.is_empty(),
            is_target: is_alone && target == Some(value.text.as_str()),
            value: value.text,
            word: word.clone(),
        }
    }

    /// One instruction after FROM: its words, then what it changes.
    fn instruction(&mut self, at: usize, command: &Command, state: &mut State) {
        self.walk.seen[at].has_shell = (state.has_shell || state.is_known).then_some(state.has_shell);
        match command {
            Command::Env(pairs) => {
                let mut names = Vec::new();
                for pair in pairs {
                    names.extend(self.word(at, &pair.name, state).map(|name| (name, pair.name.clone())));
                    self.word(at, &pair.value, state);
                }
                self.walk.seen[at].names = names;
            }
            Command::Label(pairs) => {
                for word in pairs.iter().flat_map(|pair| [&pair.name, &pair.value]) {
                    self.word(at, word, state);
                }
            }
            Command::Arg(all) => {
                for (name, value) in all {
                    self.walk.seen[at].names.push((name.text.clone(), name.clone()));
                    if let Some(value) = value.as_ref().filter(|_| !self.options.build_args.contains_key(&name.text)) {
                        self.word(at, value, state);
                    }
                    self.argument(name, value.as_ref(), state);
                }
            }
            Command::Copy(copy) => {
                for word in copy.chown.iter().chain(&copy.chmod).chain(&copy.checksum) {
                    self.word(at, word, state);
                }
                for source in &copy.sources {
                    let Source::Path(word) = source else { continue };
                    let path = self.word(at, word, state);
                    let is_of_context = copy.from.is_none();
                    let path = path.filter(|_| is_of_context).map(|path| (path, word.clone()));
                    self.walk.seen[at].sources.extend(path);
                }
                self.word(at, &copy.destination, state);
                self.documents(at, copy, state);
            }
            Command::Workdir(word) => {
                let folder = self.word(at, word, state);
                self.walk.seen[at].first_folder = folder.filter(|_| !state.has_folder);
            }
            Command::User(word) | Command::Stopsignal(word) => drop(self.word(at, word, state)),
            Command::Volume(words) => words.iter().for_each(|word| drop(self.word(at, word, state))),
            Command::Run(run) => {
                for word in &run.mounts {
                    for field in corten_frontend::dockerfile::mount_values(&word.text) {
                        self.word(at, &Word { text: field, range: word.range.clone() }, state);
                    }
                }
            }
            Command::Expose(words) => {
                // BuildKit takes them in the order of their letters.
                let mut words: Vec<&Word> = words.iter().collect();
                words.sort_by(|a, b| a.text.cmp(&b.text));
                for word in words {
                    let value = expanded_of(self.file.escape, &word.text, state);
                    let ports = value.map(|value| value.words).unwrap_or_default();
                    self.walk.seen[at].ports.extend(ports.into_iter().map(|port| (port, word.clone())));
                }
            }
            _ => {}
        }
        self.effect(command, state);
    }

    /// Here-documents of COPY whose variables count.
    fn documents(&mut self, at: usize, copy: &corten_frontend::dockerfile::Copy, state: &State) {
        for source in &copy.sources {
            let Source::Inline(heredoc) = source else { continue };
            if !heredoc.expand {
                continue;
            }
            let lexer = Lexer { plain_quotes: true, ..Lexer::new('\\') };
            let Ok(value) = lexer.expand(&heredoc.meant(), &|name| state.get(name)) else { continue };
            let range = self.file.instructions.get(at).map_or(0..0, |line| line.name.range.clone());
            self.unset(at, value.unset, &Word { text: heredoc.name.clone(), range }, state);
        }
    }

    /// What it leaves for the next.
    fn effect(&self, command: &Command, state: &mut State) {
        match command {
            Command::Env(pairs) => {
                // `ENV a=1 b=$a` takes the old a.
                let of = |word: &Word| expanded_of(self.file.escape, &word.text, state).map(|value| value.text);
                let set: Vec<_> = pairs.iter().filter_map(|pair| Some((of(&pair.name)?, of(&pair.value)?))).collect();
                set.iter().for_each(|(name, value)| state.set(name, value));
            }
            Command::Workdir(_) => state.has_folder = true,
            Command::Shell(_) => state.has_shell = true,
            _ => {}
        }
    }

    fn argument(&self, name: &Word, value: Option<&Word>, state: &mut State) {
        state.declared.insert(name.text.clone());
        let written = || Some(expanded_of(self.file.escape, &value?.text, state)?.text);
        let given = self.options.build_args.get(&name.text).cloned().or_else(written);
        let of_all = || self.globals.get(&name.text).cloned();
        if let Some(value) = given.or_else(of_all).filter(|_| !SILENT.contains(&name.text.as_str())) {
            state.set(&name.text, &value);
        }
    }

    /// A word's value; its variables without one are noted.
    fn word(&mut self, at: usize, word: &Word, state: &State) -> Option<String> {
        let value = expanded_of(self.file.escape, &word.text, state)?;
        self.unset(at, value.unset, word, state);
        Some(value.text)
    }

    fn unset(&mut self, at: usize, names: BTreeSet<String>, word: &Word, state: &State) {
        if names.is_empty() {
            return;
        }
        let known = state.names();
        for name in names.into_iter().filter(|name| !state.declared.contains(name)) {
            if SILENT.contains(&name.as_str()) {
                continue;
            }
            let near = near(&name, &known);
            // Of an image that is not known, the variable may come from there: only what looks mistyped is told.
            if state.is_known || near.is_some() {
                self.walk.seen[at].unset.push(Unset { name, near, word: word.clone() });
            }
        }
    }

    /// Without a target, all stages are looked at.
    fn find_needed(&mut self) {
        let needed = self.options.target.as_ref().and_then(|_| self.file.needed(self.options));
        for seen in &mut self.walk.seen {
            seen.is_needed = match (&needed, seen.stage) {
                (Some(needed), Some(stage)) => needed.contains(&stage),
                _ => true,
            };
        }
    }
}

/// Instructions of which only the last of a stage counts.
fn once(command: &Command) -> Option<&'static str> {
    match command {
        Command::Cmd(_) => Some("CMD"),
        Command::Entrypoint(_) => Some("ENTRYPOINT"),
        Command::Healthcheck(_) => Some("HEALTHCHECK"),
        _ => None,
    }
}

fn expanded(escape: char, text: &str, values: &Globals) -> Option<Expanded> {
    Some(expanded_with_names(escape, text, values)?.0)
}

/// The value, and all variables that were asked for.
fn expanded_with_names(escape: char, text: &str, values: &Globals) -> Option<(Expanded, BTreeSet<String>)> {
    let left = Cell::new(LONGEST);
    let asked = RefCell::new(BTreeSet::new());
    let look = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        let value = values.get(name)?;
        left.set(left.get().saturating_sub(value.len() + 1));
        Some(if left.get() == 0 { String::new() } else { value.clone() })
    };
    let value = Lexer::new(escape).expand(text, &look).ok().filter(|_| left.get() > 0)?;
    Some((value, asked.into_inner()))
}

/// With the variables of a stage; none where it cannot be read, or grows too long.
fn expanded_of(escape: char, text: &str, state: &State) -> Option<Expanded> {
    let left = Cell::new(LONGEST);
    let look = |name: &str| {
        let value = state.get(name)?;
        left.set(left.get().saturating_sub(value.len() + 1));
        // Beyond the bound a value is as good as empty.
        Some(if left.get() == 0 { String::new() } else { value })
    };
    Lexer::new(escape).expand(text, &look).ok().filter(|_| left.get() > 0)
}

/// The name that was probably meant: of those at most two letters away, the first that is nearest (Levenshtein; BuildKit's
/// `util/suggest`). A name that is there is none.
fn near(name: &str, names: &[&str]) -> Option<String> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let mut found: Option<(usize, &str)> = None;
    for known in names {
        if *known == name {
            return None;
        }
        if known.len() > LONGEST_NAME {
            continue;
        }
        let distance = strsim::levenshtein(name, known);
        if distance < found.map_or(3, |(least, _)| least) {
            found = Some((distance, known));
        }
    }
    found.map(|(_, known)| known.to_owned())
}

/// May it name an image, as Docker reads names?
pub fn is_image_name(text: &str) -> bool {
    text.parse::<Reference>().is_ok()
}
