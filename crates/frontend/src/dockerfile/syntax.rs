//! From a joined line to an instruction: its name, flags and arguments, still as text.
//!
//! Nothing is expanded here, and no flag is understood: that is `command`'s part.

use std::ops::Range;

use super::heredoc::{self, Heredoc};
use super::source::Joined;
use super::words::{self, Word};

/// The instructions of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keyword {
    /// Files, archives, addresses or repositories, into the image.
    Add,
    /// A value that the build is given.
    Arg,
    /// What runs, or the arguments of ENTRYPOINT.
    Cmd,
    /// Files of the context, a stage or an image.
    Copy,
    /// What runs.
    Entrypoint,
    /// Environment of what follows and of the image.
    Env,
    /// Ports that it listens on.
    Expose,
    /// Begins a stage.
    From,
    /// How to see whether it is well.
    Healthcheck,
    /// Words about the image.
    Label,
    /// Who keeps it; LABEL since long.
    Maintainer,
    /// For whoever builds on the image.
    Onbuild,
    /// A command in the image so far.
    Run,
    /// Which shell runs commands that are one text.
    Shell,
    /// What ends it.
    Stopsignal,
    /// Who runs it.
    User,
    /// Folders whose data outlives it.
    Volume,
    /// Where it runs.
    Workdir,
}

impl Keyword {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    /// In capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Cmd => "CMD",
            Self::Copy => "COPY",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::From => "FROM",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Maintainer => "MAINTAINER",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Shell => "SHELL",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }

    fn of(written: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(written))
    }
}

/// An instruction as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Which.
    pub keyword: Keyword,
    /// Its name as it stands there.
    pub name: Word,
    /// `--name=value`, without quotes.
    pub flags: Vec<Word>,
    /// What follows them.
    pub arguments: Arguments,
    /// The here-documents behind it.
    pub heredocs: Vec<Heredoc>,
    /// The line, with its continuations.
    pub line: Joined,
    /// Lines of the file, its here-documents with it, counted from 1.
    pub lines: Range<usize>,
}

/// The arguments, by the way of the instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    None,
    /// One text: of RUN, CMD, ENTRYPOINT for the shell; of USER, WORKDIR, STOPSIGNAL, MAINTAINER.
    Text(Word),
    /// `["…", …]`.
    Json(Vec<String>),
    /// Words.
    Words(Vec<Word>),
    /// `name=value`, or the old `name value`.
    Pairs(Vec<Pair>),
    /// Of HEALTHCHECK: `CMD` or `NONE`, then the command.
    Check(Word, Box<Arguments>),
    /// Of ONBUILD: another instruction.
    Instruction(Box<Instruction>),
}

/// Of ENV and LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name, quotes and all.
    pub name: Word,
    /// The value, quotes and all.
    pub value: Word,
    /// Written with a blank for `=`.
    pub old: bool,
}

/// Why a line is no instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: Option<String>,
    /// In bytes of the joined line.
    pub range: Range<usize>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>, range: Range<usize>) -> Self {
        Self { message: message.into(), hint: None, range }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Reads a joined line, from byte `from` on. Its here-documents are announced, and still empty.
pub(super) fn instruction(line: &Joined, from: usize, escape: char) -> Result<Instruction, Mistake> {
    let text = line.text.trim_end();
    let start = from + text.get(from..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let rest = text.get(start..).unwrap_or_default();
    let end = start + rest.find(words::BLANKS).unwrap_or(rest.len());
    let name = Word { text: text[start..end].to_owned(), range: start..end };
    let keyword = Keyword::of(&name.text).ok_or_else(|| unknown(&name))?;
    let (flags, at) = words::flags(text, end);
    let at = at + text.get(at..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let arguments = Reader { line, text, escape }.arguments(keyword, at)?;
    let heredocs = match (&arguments, keyword) {
        (Arguments::Instruction(inner), _) => inner.heredocs.clone(),
        (Arguments::Json(_), _) => Vec::new(),
        (_, Keyword::Add | Keyword::Copy | Keyword::Run) if text.contains("<<") => heredoc::announced(text),
        _ => Vec::new(),
    };
    Ok(Instruction { keyword, name, flags, arguments, heredocs, line: line.clone(), lines: line.lines.clone() })
}

fn unknown(name: &Word) -> Mistake {
    let mistake = Mistake::new(format!("there is no instruction {}", name.text), name.range.clone());
    let capitals = name.text.to_ascii_uppercase();
    let near = Keyword::ALL.map(|keyword| (strsim::damerau_levenshtein(&capitals, keyword.name()), keyword.name()));
    match near.into_iter().min() {
        Some((distance, name)) if distance <= 2 && distance < name.len() => {
            mistake.hint(format!("did you mean {name}?"))
        }
        _ => mistake.hint("lines of a command before this one may lack a \\ at their end"),
    }
}

struct Reader<'l> {
    line: &'l Joined,
    text: &'l str,
    escape: char,
}

impl Reader<'_> {
    fn arguments(&self, keyword: Keyword, at: usize) -> Result<Arguments, Mistake> {
        if self.text.len() <= at {
            return Ok(Arguments::None);
        }
        match keyword {
            Keyword::From | Keyword::Expose => Ok(Arguments::Words(words::by_blanks(self.text, at))),
            Keyword::Arg => Ok(Arguments::Words(words::quoted(self.text, at, self.escape))),
            Keyword::Env | Keyword::Label => self.pairs(keyword, at),
            Keyword::Add | Keyword::Copy | Keyword::Volume => {
                let json = self.json(at)?;
                Ok(json.unwrap_or_else(|| Arguments::Words(words::by_blanks(self.text, at))))
            }
            Keyword::Cmd | Keyword::Entrypoint | Keyword::Run | Keyword::Shell => {
                Ok(self.json(at)?.unwrap_or_else(|| self.whole(at)))
            }
            Keyword::Maintainer | Keyword::Stopsignal | Keyword::User | Keyword::Workdir => Ok(self.whole(at)),
            Keyword::Healthcheck => self.check(at),
            Keyword::Onbuild => Ok(Arguments::Instruction(Box::new(instruction(self.line, at, self.escape)?))),
        }
    }

    fn whole(&self, at: usize) -> Arguments {
        Arguments::Text(self.word(at..self.text.len()))
    }

    fn word(&self, range: Range<usize>) -> Word {
        Word { text: self.text[range.clone()].to_owned(), range }
    }

    /// What is no JSON is a command for the shell; JSON of something else than texts is a mistake.
    fn json(&self, at: usize) -> Result<Option<Arguments>, Mistake> {
        let rest = &self.text[at..];
        if !rest.starts_with('[') {
            return Ok(None);
        }
        let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else { return Ok(None) };
        let texts = values.into_iter().map(|value| match value {
            serde_json::Value::String(text) => Ok(text),
            other => Err(Mistake::new(format!("{other} is no text"), at..self.text.len())
                .hint("each element of the list stands in double quotes")),
        });
        Ok(Some(Arguments::Json(texts.collect::<Result<_, _>>()?)))
    }

    fn pairs(&self, keyword: Keyword, at: usize) -> Result<Arguments, Mistake> {
        let words = words::quoted(self.text, at, self.escape);
        let Some(first) = words.first() else { return Ok(Arguments::None) };
        if !first.text.contains('=') {
            return Ok(Arguments::Pairs(vec![self.old_pair(keyword, at)?]));
        }
        words.iter().map(|word| self.pair(word)).collect::<Result<_, _>>().map(Arguments::Pairs)
    }

    fn pair(&self, word: &Word) -> Result<Pair, Mistake> {
        let Some((name, value)) = word.text.split_once('=') else {
            let hint = "quote a value with blanks in it: name=\"a b\"";
            return Err(Mistake::new(format!("{} has no =", word.text), word.range.clone()).hint(hint));
        };
        let equals = word.range.start + name.len();
        Ok(Pair {
            name: Word { text: name.to_owned(), range: word.range.start..equals },
            value: Word { text: value.to_owned(), range: equals + 1..word.range.end },
            old: false,
        })
    }

    fn old_pair(&self, keyword: Keyword, at: usize) -> Result<Pair, Mistake> {
        let rest = &self.text[at..];
        let end = rest.find(words::BLANKS).unwrap_or(rest.len());
        let value = end + rest[end..].len() - rest[end..].trim_start_matches(words::BLANKS).len();
        if value >= rest.len() {
            let message = format!("{} needs a name and a value", keyword.name());
            return Err(Mistake::new(message, at..self.text.len()).hint("write name=value"));
        }
        Ok(Pair { name: self.word(at..at + end), value: self.word(at + value..self.text.len()), old: true })
    }

    fn check(&self, at: usize) -> Result<Arguments, Mistake> {
        let rest = &self.text[at..];
        let end = at + rest.find(char::is_whitespace).unwrap_or(rest.len());
        let command = end + self.text[end..].len() - self.text[end..].trim_start().len();
        let kind = self.word(at..end);
        if command >= self.text.len() {
            return Ok(Arguments::Check(kind, Box::new(Arguments::None)));
        }
        let command = self.json(command)?.unwrap_or_else(|| self.whole(command));
        Ok(Arguments::Check(kind, Box::new(command)))
    }
}
