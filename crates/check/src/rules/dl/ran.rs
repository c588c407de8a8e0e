//! Commands of RUN as the rules with hadolint's numbers see them.
//!
//! hadolint reads a script as bash, whatever SHELL says, and knows its commands by the first word as it is written: `sudo apt-get
//! install` is a command `sudo`, `/usr/bin/pip` is not `pip`. Its users have files that are silent under these readings, and
//! pragmas for what is not; so these rules read the same way. Corten's own rules look behind `sudo`, `env` and `sh -c`.

use std::ops::Range;

use corten_frontend::dockerfile::{Arguments, Command, Line, Run, Word as Written};

use crate::lint::{Lint, Step};
use crate::shell::{
    CommandKind, Dialect, Joint, List, Part, PartKind, Script, Simple, Source, Variable, Visited, Word,
};

/// A RUN, or one after ONBUILD.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its step.
    pub(crate) step: usize,
    /// Its commands, those in substitutions with them, in the order of the text.
    pub(crate) commands: Vec<Plain>,
    /// Is there a pipe anywhere?
    pub(crate) piped: bool,
    /// Its flags, in an order that does not depend on how they are written.
    pub(crate) flags: Vec<String>,
    /// Where caches and temporary file systems are mounted.
    pub(crate) kept: Vec<String>,
}

/// A command with its arguments.
#[derive(Debug)]
pub(crate) struct Plain {
    /// The program as it is written; behind `exec`, `command`, `builtin`, `busybox` the one that is meant.
    pub(crate) name: String,
    /// Bytes of the Dockerfile: the name. Empty where that is not known, as in a list of JSON.
    pub(crate) at: Range<usize>,
    /// All that follow the first word.
    pub(crate) arguments: Vec<Argument>,
    flags: Vec<(String, usize)>,
}

/// An argument.
#[derive(Debug)]
pub(crate) struct Argument {
    /// As it is meant; variables as `${NAME}`.
    pub(crate) text: String,
    /// Bytes of the Dockerfile.
    pub(crate) at: Range<usize>,
}

/// All RUNs of a file.
pub(crate) fn all(lint: &Lint<'_>) -> Vec<Ran> {
    lint.each(run).map(|(step, run)| Ran::of(step, run)).collect()
}

fn run(command: &Command) -> Option<&Run> {
    match command {
        Command::Run(run) => Some(run),
        _ => None,
    }
}

impl Ran {
    fn of(step: &Step<'_>, run: &Run) -> Self {
        let mut ran = Self {
            step: step.number,
            commands: Vec::new(),
            piped: false,
            flags: flags(run),
            kept: run.mounts.iter().filter_map(kept).collect(),
        };
        match (&run.line, &step.script) {
            // The words of a list, with blanks between them, are read as a script, too.
            (Line::Exec(words), _) => {
                let source = Source::plain(&words.join(" "), 0);
                Script::read(&source, Dialect::Bash).iter().for_each(|script| ran.read(script));
                ran.forget_places();
            }
            (Line::Shell(_), Some(script)) => ran.read(script),
            (Line::Shell(_), None) => as_bash(step).iter().for_each(|script| ran.read(script)),
        }
        ran
    }

    fn read(&mut self, script: &Script) {
        script.visit(&mut |visited, context| match visited {
            _ if context.inner => {}
            Visited::Simple(simple) => self.commands.extend(Plain::of(simple)),
            Visited::Item(item) => self.piped |= !item.pipeline.pipes.is_empty(),
            _ => {}
        });
    }

    fn forget_places(&mut self) {
        for command in &mut self.commands {
            command.at = 0..0;
            command.arguments.iter_mut().for_each(|argument| argument.at = 0..0);
        }
    }

    /// Is a cache or a temporary file system mounted at a path with this in it?
    pub(crate) fn keeps(&self, path: &str) -> bool {
        self.kept.iter().any(|target| target.contains(path))
    }

    /// Does it run this program?
    pub(crate) fn command(&self, name: &str) -> Option<&Plain> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The place of the first command that is one of these.
    pub(crate) fn position(&self, is: impl Fn(&Plain) -> bool) -> Option<usize> {
        self.commands.iter().position(is)
    }
}

/// A script for a shell that is none of ours.
fn as_bash(step: &Step<'_>) -> Option<Script> {
    let Arguments::Text(word) = &step.meant_instruction().arguments else { return None };
    let source = Source::of(step.line(), word.range.clone(), &step.instruction.heredocs);
    Script::read(&source, Dialect::Bash).ok().filter(|_| step.shell.dialect.is_none())
}

fn flags(run: &Run) -> Vec<String> {
    let sorted = |mount: &Written| {
        let mut fields: Vec<&str> = mount.text.split(',').collect();
        fields.sort_unstable();
        fields.join(",")
    };
    let mut flags: Vec<String> = run.mounts.iter().map(sorted).collect();
    flags.sort();
    flags.dedup();
    flags.extend(run.network.iter().map(|word| format!("network={}", word.text)));
    flags.extend(run.security.iter().map(|word| format!("security={}", word.text)));
    flags
}

/// The target of a cache or a temporary file system.
fn kept(mount: &Written) -> Option<String> {
    let fields = || mount.text.split(',').filter_map(|field| field.split_once('='));
    fields().find(|(key, value)| *key == "type" && matches!(*value, "cache" | "tmpfs"))?;
    let (_, target) = fields().find(|(key, _)| matches!(*key, "target" | "dst" | "destination"))?;
    Some(target.trim_matches('"').to_owned())
}

impl Plain {
    /// None where its name is not known by reading; a test in brackets is no command.
    fn of(simple: &Simple) -> Option<Self> {
        let (first, rest) = simple.words.split_first()?;
        let name = literal(first).filter(|name| name != "[")?;
        let meant = match name.as_str() {
            "busybox" | "builtin" | "command" | "run" => {
                rest.first().filter(|word| !text(word).starts_with('-')).and_then(literal)
            }
            "exec" => rest.iter().find(|word| !text(word).starts_with('-')).and_then(literal),
            _ => None,
        };
        let arguments: Vec<_> = rest.iter().map(|word| Argument { text: text(word), at: word.at.clone() }).collect();
        let flags = arguments.iter().enumerate().flat_map(|(at, argument)| letters(&argument.text, at)).collect();
        Some(Self { name: meant.unwrap_or(name), at: first.at.clone(), arguments, flags })
    }

    /// Does its name stand in the file, with its own arguments behind it? Not in quotes, and not behind `busybox` or `command`.
    pub(crate) fn stands(&self, lint: &Lint<'_>) -> bool {
        lint.text(self.at.clone()) == self.name
    }

    /// Is it this program, with one of these among its arguments?
    pub(crate) fn has(&self, name: &str, arguments: &[&str]) -> bool {
        self.name == name && self.argument(arguments).is_some()
    }

    /// The first argument that is one of these.
    pub(crate) fn argument(&self, texts: &[&str]) -> Option<&Argument> {
        self.arguments.iter().find(|argument| texts.contains(&argument.text.as_str()))
    }

    /// Do these follow each other among its arguments?
    pub(crate) fn follows(&self, texts: &[&str]) -> bool {
        self.arguments.windows(texts.len()).any(|some| some.iter().zip(texts).all(|(one, text)| one.text == *text))
    }

    /// Has it one of these options? `y` of `-yq`, `yes` of `--yes=…`.
    pub(crate) fn has_flag(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|(flag, _)| names.contains(&flag.as_str()))
    }

    /// How often it has an option.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.flags.iter().filter(|(flag, _)| flag == name).count()
    }

    /// Arguments that are no options; the word behind one of these options is its value.
    pub(crate) fn operands(&self, with_values: &[&str]) -> Vec<&Argument> {
        let has_value = |at: usize| self.arguments.get(at).is_some_and(|one| !one.text.contains('='));
        let with = self.flags.iter().filter(|(flag, at)| with_values.contains(&flag.as_str()) && has_value(*at));
        // Options come in the order of the arguments, so what is left out does, too.
        let values: Vec<usize> = with.map(|(_, at)| at + 1).collect();
        let is_flag = |at: usize| self.flags.binary_search_by_key(&at, |(_, flag)| *flag).is_ok();
        let is_left = |at: usize| !is_flag(at) && values.binary_search(&at).is_err();
        self.arguments.iter().enumerate().filter(|(at, _)| is_left(*at)).map(|(_, argument)| argument).collect()
    }

    /// The words behind one of these options.
    pub(crate) fn values(&self, names: &[&str]) -> Vec<&Argument> {
        let following = self.flags.iter().filter(|(flag, _)| names.contains(&flag.as_str()));
        following.filter_map(|(_, at)| self.arguments.get(at + 1)).collect()
    }

    /// Operands behind the word `install`.
    pub(crate) fn installed(&self, with_values: &[&str]) -> Vec<&Argument> {
        let operands = self.operands(with_values);
        let behind = operands.into_iter().skip_while(|argument| argument.text != "install");
        behind.skip_while(|argument| argument.text == "install").collect()
    }

    /// Is it `pip install`, or that of `python -m pip`?
    pub(crate) fn is_pip_install(&self) -> bool {
        let own = self.name.starts_with("pip") && !self.name.starts_with("pipenv") && self.follows(&["install"]);
        own || self.name.starts_with("python") && self.follows(&["-m", "pip", "install"])
    }
}

/// Options in a word: `--name=value` is one, `-yq` are two.
fn letters(text: &str, at: usize) -> Vec<(String, usize)> {
    if matches!(text, "-" | "--") {
        return Vec::new();
    }
    match (text.strip_prefix("--"), text.strip_prefix('-')) {
        (Some(long), _) => vec![(long.split('=').next().unwrap_or_default().to_owned(), at)],
        (None, Some(short)) => short.chars().map(|letter| (letter.to_string(), at)).collect(),
        (None, None) => Vec::new(),
    }
}

/// A word without anything in it that is decided when it runs, and without a pattern.
fn literal(word: &Word) -> Option<String> {
    let known = |part: &Part| matches!(part.kind, PartKind::Text(_) | PartKind::Tilde(_));
    word.parts.iter().all(known).then(|| text(word))
}

/// A word as it is meant, with what is decided later as `${…}`.
fn text(word: &Word) -> String {
    word.parts.iter().map(part).collect()
}

fn part(part: &Part) -> String {
    match &part.kind {
        PartKind::Text(text) | PartKind::Glob(text) => text.clone(),
        PartKind::Tilde(name) => format!("~{name}"),
        PartKind::Variable(variable) => format!("${{{}}}", within(variable)),
        PartKind::Arithmetic(_) | PartKind::Substitution { backticks: true, .. } => "${VAR}".to_owned(),
        PartKind::Substitution { list, .. } => format!("${{{}}}", started(list)),
        PartKind::Brace(_) | PartKind::Process(_) => String::new(),
    }
}

fn within(variable: &Variable) -> String {
    let mut all = String::new();
    if variable.length {
        all.push('#');
    }
    if variable.indirect {
        all.push('!');
    }
    all.push_str(&variable.name);
    if let Some(subscript) = &variable.subscript {
        all.push_str(&format!("[{subscript}]"));
    }
    all.push_str(variable.operator.as_deref().unwrap_or_default());
    all.push_str(&variable.argument.as_deref().map(text).unwrap_or_default());
    all
}

/// The words of a substitution, one behind the other.
fn started(list: &List) -> String {
    if list.items.iter().any(|item| matches!(item.joint, Joint::And | Joint::Or)) {
        return String::new();
    }
    let mut all = String::new();
    for item in &list.items {
        if let [command] = item.pipeline.commands.as_slice()
            && let CommandKind::Simple(simple) = &command.kind
        {
            all.extend(simple.words.iter().map(text));
        }
    }
    all
}
