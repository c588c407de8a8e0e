//! What an instruction means, its variables still unexpanded.

use super::flags::Flags;
use super::heredoc::{self, Heredoc};
use super::syntax::{Arguments, Instruction, Keyword, Mistake, Pair};
use super::words::Word;

/// An instruction that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// FROM.
    From(From),
    /// ADD and COPY.
    Copy(Box<Copy>),
    /// RUN.
    Run(Run),
    /// ARG: name, and the value that it has without being given one.
    Arg(Vec<(Word, Option<Word>)>),
    /// CMD.
    Cmd(Line),
    /// ENTRYPOINT.
    Entrypoint(Line),
    /// ENV.
    Env(Vec<Pair>),
    /// LABEL.
    Label(Vec<Pair>),
    /// EXPOSE.
    Expose(Vec<Word>),
    /// HEALTHCHECK.
    Healthcheck(Healthcheck),
    /// MAINTAINER.
    Maintainer(Word),
    /// ONBUILD: the other instruction as text, with its here-documents, and what it means.
    Onbuild(String, Box<Command>),
    /// SHELL.
    Shell(Vec<String>),
    /// STOPSIGNAL.
    Stopsignal(Word),
    /// USER.
    User(Word),
    /// VOLUME.
    Volume(Vec<Word>),
    /// WORKDIR.
    Workdir(Word),
}

/// FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, a stage, or `scratch`.
    pub image: Word,
    /// `--platform`.
    pub platform: Option<Word>,
    /// `AS`, in small letters.
    pub name: Option<Word>,
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// For the shell.
    Shell(String),
    /// `["program", "argument", …]`.
    Exec(Vec<String>),
}

/// ADD or COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// ADD.
    pub add: bool,
    /// What, in the order of the line.
    pub sources: Vec<Source>,
    /// Whereto.
    pub destination: Word,
    /// `--from`.
    pub from: Option<Word>,
    /// `--chown`.
    pub chown: Option<Word>,
    /// `--chmod`.
    pub chmod: Option<Word>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<Word>,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`.
    pub checksum: Option<Word>,
    /// `--unpack`.
    pub unpack: Option<bool>,
}

impl Copy {
    /// Its sources but for here-documents.
    pub fn paths(&self) -> impl Iterator<Item = &Word> + Clone {
        self.sources.iter().filter_map(|source| match source {
            Source::Path(path) => Some(path),
            Source::Inline(_) => None,
        })
    }
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path or pattern; for ADD also an address.
    Path(Word),
    /// A here-document.
    Inline(Heredoc),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub line: Line,
    /// Here-documents of a line for the shell.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<Word>,
    /// `--network`.
    pub network: Option<Word>,
    /// `--security`.
    pub security: Option<Word>,
    /// `--device`.
    pub devices: Vec<Word>,
}

/// HEALTHCHECK. Times as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// None for `NONE`.
    pub command: Option<Line>,
    /// `--interval`.
    pub interval: Option<Word>,
    /// `--timeout`.
    pub timeout: Option<Word>,
    /// `--start-period`.
    pub start_period: Option<Word>,
    /// `--start-interval`.
    pub start_interval: Option<Word>,
    /// `--retries`.
    pub retries: Option<Word>,
}

impl Command {
    /// Understands an instruction.
    pub fn of(instruction: &Instruction) -> Result<Self, Mistake> {
        let flags = Flags::of(instruction)?;
        let reader = Reader { instruction };
        match instruction.keyword {
            Keyword::From => reader.from(&flags),
            Keyword::Add | Keyword::Copy => reader.copy(&flags),
            Keyword::Run => reader.run(&flags),
            Keyword::Arg => reader.arg(),
            Keyword::Cmd => Ok(Self::Cmd(reader.line(true)?)),
            Keyword::Entrypoint => Ok(Self::Entrypoint(reader.line(true)?)),
            Keyword::Env => Ok(Self::Env(reader.pairs()?)),
            Keyword::Label => Ok(Self::Label(reader.pairs()?)),
            Keyword::Expose => Ok(Self::Expose(reader.words()?)),
            Keyword::Healthcheck => reader.healthcheck(&flags),
            Keyword::Maintainer => Ok(Self::Maintainer(reader.one()?)),
            Keyword::Onbuild => reader.onbuild(),
            Keyword::Shell => reader.shell(),
            Keyword::Stopsignal => Ok(Self::Stopsignal(reader.one()?)),
            Keyword::User => Ok(Self::User(reader.one()?)),
            Keyword::Volume => Ok(Self::Volume(reader.words()?)),
            Keyword::Workdir => Ok(Self::Workdir(reader.one()?)),
        }
    }
}

struct Reader<'i> {
    instruction: &'i Instruction,
}

impl Reader<'_> {
    fn name(&self) -> &'static str {
        self.instruction.keyword.name()
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        let line = &self.instruction.line;
        Mistake::new(message, self.instruction.name.range.start..line.text.len())
    }

    fn one(&self) -> Result<Word, Mistake> {
        match &self.instruction.arguments {
            Arguments::Text(word) => Ok(word.clone()),
            _ => Err(self.mistake(format!("{} needs one argument", self.name()))),
        }
    }

    fn words(&self) -> Result<Vec<Word>, Mistake> {
        let words = match &self.instruction.arguments {
            Arguments::Words(words) => words.clone(),
            Arguments::Json(texts) => self.of_json(texts),
            _ => Vec::new(),
        };
        if words.is_empty() {
            return Err(self.mistake(format!("{} needs at least one argument", self.name())));
        }
        match words.iter().find(|word| word.text.is_empty()) {
            Some(empty) => Err(Mistake::new(format!("an empty argument of {}", self.name()), empty.range.clone())),
            None => Ok(words),
        }
    }

    /// Elements of JSON: for their place the whole list stands.
    fn of_json(&self, texts: &[String]) -> Vec<Word> {
        let range = self.instruction.name.range.end..self.instruction.line.text.len();
        texts.iter().map(|text| Word { text: text.clone(), range: range.clone() }).collect()
    }

    fn pairs(&self) -> Result<Vec<Pair>, Mistake> {
        let Arguments::Pairs(pairs) = &self.instruction.arguments else {
            return Err(self.mistake(format!("{} needs at least one argument", self.name())));
        };
        match pairs.iter().find(|pair| pair.name.text.is_empty()) {
            Some(pair) => {
                Err(Mistake::new(format!("{} without a name before =", self.name()), pair.value.range.clone()))
            }
            None => Ok(pairs.clone()),
        }
    }

    fn line(&self, may_be_empty: bool) -> Result<Line, Mistake> {
        match &self.instruction.arguments {
            Arguments::Text(text) => Ok(Line::Shell(text.text.clone())),
            Arguments::Json(texts) => Ok(Line::Exec(texts.clone())),
            _ if may_be_empty => Ok(Line::Exec(Vec::new())),
            _ => Err(self.mistake(format!("{} needs a command", self.name()))),
        }
    }

    fn from(&self, flags: &Flags) -> Result<Command, Mistake> {
        let words = self.words()?;
        let (image, name) = match words.as_slice() {
            [image] => (image, None),
            [image, between, name] if between.text.eq_ignore_ascii_case("as") => (image, Some(name)),
            _ => return Err(self.mistake("FROM takes an image, or an image AS a name")),
        };
        if let Some(name) = name.filter(|name| !is_stage_name(&name.text.to_ascii_lowercase())) {
            return Err(Mistake::new(format!("{} cannot name a stage", name.text), name.range.clone())
                .hint("a letter, then letters, digits, '-', '_' and '.'"));
        }
        let small = |name: &Word| Word { text: name.text.to_ascii_lowercase(), range: name.range.clone() };
        Ok(Command::From(From { image: image.clone(), platform: flags.text("platform"), name: name.map(small) }))
    }

    fn copy(&self, flags: &Flags) -> Result<Command, Mistake> {
        let mut words = self.words()?;
        let (Some(destination), false) = (words.pop(), words.is_empty()) else {
            return Err(self.mistake(format!("{} needs at least a source and a destination", self.name())));
        };
        if self.inline(&destination).is_some() {
            return Err(Mistake::new("a here-document cannot be the destination", destination.range));
        }
        let source = |word: Word| self.inline(&word).map_or(Source::Path(word), Source::Inline);
        Ok(Command::Copy(Box::new(Copy {
            add: self.instruction.keyword == Keyword::Add,
            sources: words.into_iter().map(source).collect(),
            destination,
            from: flags.text("from"),
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.flag("link").unwrap_or_default(),
            parents: flags.flag("parents").unwrap_or_default(),
            exclude: flags.many("exclude"),
            keep_git_dir: flags.flag("keep-git-dir"),
            checksum: flags.text("checksum"),
            unpack: flags.flag("unpack"),
        })))
    }

    /// The here-document that a word of the line stands for.
    fn inline(&self, word: &Word) -> Option<Heredoc> {
        let announced = heredoc::one(&word.text)?;
        self.instruction.heredocs.iter().find(|heredoc| heredoc.name == announced.name).cloned()
    }

    fn run(&self, flags: &Flags) -> Result<Command, Mistake> {
        Ok(Command::Run(Run {
            line: self.line(false)?,
            heredocs: self.instruction.heredocs.clone(),
            mounts: flags.many("mount"),
            network: flags.text("network"),
            security: flags.text("security"),
            devices: flags.many("device"),
        }))
    }

    fn arg(&self) -> Result<Command, Mistake> {
        let mut all = Vec::new();
        for word in self.words()? {
            let (name, value) = match word.text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.text.as_str(), None),
            };
            if name.is_empty() {
                return Err(Mistake::new("ARG without a name before =", word.range));
            }
            let end = word.range.start + name.len();
            let value = value.map(|text| Word { text, range: end + 1..word.range.end });
            all.push((Word { text: name.to_owned(), range: word.range.start..end }, value));
        }
        Ok(Command::Arg(all))
    }

    fn shell(&self) -> Result<Command, Mistake> {
        match &self.instruction.arguments {
            Arguments::Json(texts) if !texts.is_empty() => Ok(Command::Shell(texts.clone())),
            _ => Err(self.mistake("SHELL needs a list of texts").hint(r#"write SHELL ["/bin/bash", "-c"]"#)),
        }
    }

    fn healthcheck(&self, flags: &Flags) -> Result<Command, Mistake> {
        let Arguments::Check(kind, rest) = &self.instruction.arguments else {
            return Err(self.mistake("HEALTHCHECK needs NONE, or CMD and a command"));
        };
        let command = match (kind.text.to_ascii_uppercase().as_str(), rest.as_ref()) {
            ("NONE", Arguments::None) => None,
            ("NONE", _) => return Err(self.mistake("HEALTHCHECK NONE takes no arguments")),
            ("CMD", Arguments::Text(text)) => Some(Line::Shell(text.text.clone())),
            ("CMD", Arguments::Json(texts)) if !texts.is_empty() => Some(Line::Exec(texts.clone())),
            ("CMD", _) => return Err(self.mistake("HEALTHCHECK CMD needs a command")),
            _ => {
                let message = format!("HEALTHCHECK knows CMD and NONE, not {}", kind.text);
                return Err(Mistake::new(message, kind.range.clone()));
            }
        };
        Ok(Command::Healthcheck(Healthcheck {
            command,
            interval: flags.text("interval"),
            timeout: flags.text("timeout"),
            start_period: flags.text("start-period"),
            start_interval: flags.text("start-interval"),
            retries: flags.text("retries"),
        }))
    }

    fn onbuild(&self) -> Result<Command, Mistake> {
        let Arguments::Instruction(inner) = &self.instruction.arguments else {
            return Err(self.mistake("ONBUILD needs an instruction"));
        };
        if matches!(inner.keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
            let message = format!("{} cannot stand after ONBUILD", inner.keyword.name());
            return Err(Mistake::new(message, inner.name.range.clone()));
        }
        let meant = Command::of(inner)?;
        let mut text = self.instruction.line.text[inner.name.range.start..].trim_end().to_owned();
        for heredoc in &self.instruction.heredocs {
            text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
        }
        Ok(Command::Onbuild(text, Box::new(meant)))
    }
}

/// As BuildKit wants them.
fn is_stage_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '_' | '.'))
}
