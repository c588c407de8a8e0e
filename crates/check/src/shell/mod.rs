//! Scripts of Dockerfiles: POSIX `sh`, and what of bash people write in them, read into a tree.
//!
//! ```text
//! RUN's text, its here-documents ─► source: one text, each byte with its place in the Dockerfile
//!                                ─► parse, compound, redirections, word, expansions: the tree ─► inner: that of `sh -c '…'`
//!                                ─► walk, calls: which programs run how
//! ```
//!
//! Every `at` is in bytes *of the Dockerfile*, also behind continuation lines, comments amidst them and in here-documents.
//! Nothing is expanded and nothing runs. Depth and work are bounded; a text that is no script is an [`Unreadable`], never a
//! guess. What bash alone understands is read in any dialect: rules tell who cannot run it.
//!
//! Sources: POSIX.1-2024 XCU §2 (Shell Command Language), bash's manual, dash(1).

mod arithmetic;
mod calls;
mod compound;
mod expansions;
mod inner;
mod parse;
mod redirections;
mod source;
mod walk;
mod word;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub use calls::{Call, Flag, is_name};
pub use parse::Unreadable;
pub use source::Source;
pub use walk::{Context, Role, Visited};

/// Which shell a script is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `/bin/sh`: whatever it is, so POSIX.
    Sh,
    /// `dash`.
    Dash,
    /// Busybox's `ash`.
    Ash,
    /// `bash`.
    Bash,
    /// `ksh`.
    Ksh,
}

impl Dialect {
    /// By the name of a program, with or without its folder; none of a shell that this is not about (`pwsh`, `cmd`, `zsh`, `fish`).
    pub fn of(program: &str) -> Option<Self> {
        match base_name(program) {
            "sh" => Some(Self::Sh),
            "dash" => Some(Self::Dash),
            "ash" | "busybox" => Some(Self::Ash),
            "bash" => Some(Self::Bash),
            "ksh" | "ksh93" | "mksh" | "oksh" => Some(Self::Ksh),
            _ => None,
        }
    }

    /// Does it understand arrays, `[[`, process substitution?
    pub fn is_extended(self) -> bool {
        matches!(self, Self::Bash | Self::Ksh)
    }
}

/// `/usr/bin/apt-get` is `apt-get`.
pub fn base_name(program: &str) -> &str {
    program.rsplit(['/', '\\']).next().unwrap_or(program)
}

/// A script that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For which shell.
    pub dialect: Dialect,
    /// What runs.
    pub list: List,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// Pipelines in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Each with what follows it.
    pub items: Vec<Item>,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// A pipeline of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What joins it to the one before.
    pub joint: Joint,
    /// Where that stands; empty for [`Joint::First`].
    pub joint_at: Range<usize>,
    /// It.
    pub pipeline: Pipeline,
    /// `&` follows: nobody waits for it.
    pub background: bool,
}

/// What stands between two pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// Nothing stands before it.
    First,
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `;`, `&` or the end of a line.
    Next,
}

/// Commands with `|` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// `!`.
    pub negated: bool,
    /// At least one.
    pub commands: Vec<Command>,
    /// Where each `|` or `|&` stands.
    pub pipes: Vec<Range<usize>>,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// A command with its redirections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// It.
    pub kind: CommandKind,
    /// `> file` and the like.
    pub redirections: Vec<Redirection>,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// The commands of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKind {
    /// A program with its arguments, or assignments alone.
    Simple(Box<Simple>),
    /// `( … )`.
    Subshell(List),
    /// `{ …; }`.
    Group(List),
    /// `if … then … elif … then … else … fi`.
    If {
        /// Condition and what it decides.
        branches: Vec<(List, List)>,
        /// After `else`.
        otherwise: Option<List>,
    },
    /// `while … do … done`, `until`.
    Loop {
        /// `until`.
        until: bool,
        /// Asked each time.
        condition: List,
        /// Done each time.
        body: List,
    },
    /// `for name in words; do … done`, `select`.
    For {
        /// The variable.
        name: String,
        /// Where it stands.
        name_at: Range<usize>,
        /// After `in`; none where there is no `in`: the arguments.
        words: Option<Vec<Word>>,
        /// Done for each.
        body: List,
    },
    /// bash's `for ((a; b; c))`.
    ForArithmetic {
        /// In the parentheses, as written, with the variables in it.
        head: Arithmetic,
        /// Done each time.
        body: List,
    },
    /// `case word in pattern) … ;; esac`.
    Case {
        /// What is compared.
        word: Word,
        /// With what.
        arms: Vec<Arm>,
    },
    /// `name() …`.
    Function {
        /// Its name.
        name: String,
        /// Written with `function`, which is no POSIX.
        keyword: bool,
        /// What it does.
        body: Box<Command>,
    },
    /// `[[ … ]]`: its words and operators as words.
    Test(Vec<Word>),
    /// `(( … ))`.
    Arithmetic(Arithmetic),
}

/// One arm of `case`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// Before `)`.
    pub patterns: Vec<Word>,
    /// After it.
    pub body: List,
}

/// A program with its arguments, or assignments alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simple {
    /// Before the program's name.
    pub assignments: Vec<Assignment>,
    /// The program and its arguments; empty where there are only assignments or redirections.
    pub words: Vec<Word>,
    /// What `sh -c '…'` in it runs, where that can be told: also under `sudo`, `env` and the like.
    pub inner: Option<Box<Script>>,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// bash's `name[subscript]=…`, without the brackets.
    pub subscript: Option<String>,
    /// `+=`.
    pub append: bool,
    /// What stands behind `=`.
    pub value: Value,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word; one without parts is empty.
    Word(Word),
    /// bash's `(…)`.
    Array(Vec<Word>),
}

/// A word: what the shell makes one argument (or several) of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// As it is written, without continuations.
    pub raw: String,
    /// In their order.
    pub parts: Vec<Part>,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

/// Part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// It.
    pub kind: PartKind,
    /// How it is quoted.
    pub quote: Quote,
    /// In the Dockerfile; that of quoted text is without its quotes.
    pub at: Range<usize>,
}

/// Quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// None.
    Bare,
    /// `\x`: that character alone.
    Escaped,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
    /// bash's `$'…'`.
    Dollar,
}

/// What parts of words are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKind {
    /// Text as it is meant, without quotes and escapes.
    Text(String),
    /// `*`, `?`, `[…]` outside quotes: as written.
    Glob(String),
    /// `$name`, `${name…}`.
    Variable(Variable),
    /// `$(…)`, or backticks.
    Substitution {
        /// What runs.
        list: List,
        /// Written with backticks.
        backticks: bool,
    },
    /// `$((…))`.
    Arithmetic(Arithmetic),
    /// bash's `<(…)` and `>(…)`.
    Process(List),
    /// `~` at the beginning, with the name that follows.
    Tilde(String),
    /// bash's `{a,b}` or `{1..9}`: as written.
    Brace(String),
}

/// `$name`, `${name…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// `name`, a digit, or one of `@*#?-$!`.
    pub name: String,
    /// `${#name}`.
    pub length: bool,
    /// bash's `${!name}`.
    pub indirect: bool,
    /// Written in braces.
    pub braces: bool,
    /// bash's `${name[subscript]}`, without the brackets.
    pub subscript: Option<String>,
    /// `:-`, `-`, `:=`, `=`, `:?`, `?`, `:+`, `+`, `%`, `%%`, `#`, `##`; of bash `:`, `/`, `//`, `^`, `^^`, `,`, `,,`, `@`.
    pub operator: Option<String>,
    /// What follows the operator.
    pub argument: Option<Box<Word>>,
}

/// An arithmetic expression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// As written.
    pub raw: String,
    /// The variables and substitutions in it that have a `$`.
    pub parts: Vec<Part>,
}

/// `> file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// The number before it.
    pub descriptor: Option<u32>,
    /// Which.
    pub operator: Redirect,
    /// Whereto or wherefrom; of a here-document the word that ends it.
    pub target: Word,
    /// The text of a here-document.
    pub document: Option<Document>,
    /// In the Dockerfile, without the text of a here-document.
    pub at: Range<usize>,
}

/// Redirections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// `<`.
    In,
    /// `>`.
    Out,
    /// `>>`.
    Append,
    /// `>|`.
    Clobber,
    /// `<>`.
    Both,
    /// `<&`.
    InCopy,
    /// `>&`.
    OutCopy,
    /// `<<`, `<<-`.
    Document,
    /// bash's `<<<`.
    Text,
    /// bash's `&>`.
    All,
    /// bash's `&>>`.
    AllAppend,
}

/// The text of a here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// As it is meant: without the tabs that `<<-` drops.
    pub text: String,
    /// Variables and substitutions in it; empty where its word is quoted.
    pub parts: Vec<Part>,
    /// Its word is quoted: nothing in it is expanded.
    pub quoted: bool,
    /// In the Dockerfile.
    pub at: Range<usize>,
}

impl Word {
    /// What it means where that is known by reading: text alone, however it is quoted. A glob counts as its text.
    pub fn literal(&self) -> Option<Cow<'_, str>> {
        let text = |part: &'_ Part| match &part.kind {
            PartKind::Text(text) | PartKind::Glob(text) | PartKind::Brace(text) => Some(text.clone()),
            PartKind::Tilde(name) => Some(format!("~{name}")),
            _ => None,
        };
        match self.parts.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [Part { kind: PartKind::Text(text) | PartKind::Glob(text) | PartKind::Brace(text), .. }] => {
                Some(Cow::Borrowed(text))
            }
            parts => parts.iter().map(text).collect::<Option<String>>().map(Cow::Owned),
        }
    }

    /// Is this what it means?
    pub fn is(&self, text: &str) -> bool {
        self.literal().is_some_and(|literal| literal == text)
    }

    /// The text at its beginning that is known by reading: of `foo=$bar` it is `foo=`.
    pub fn known_start(&self) -> String {
        let mut start = String::new();
        for part in &self.parts {
            match &part.kind {
                PartKind::Text(text) | PartKind::Glob(text) | PartKind::Brace(text) => start.push_str(text),
                PartKind::Tilde(name) => {
                    start.push('~');
                    start.push_str(name);
                }
                _ => break,
            }
        }
        start
    }

    /// What it means, with variables and substitutions as they are written: for messages, and for rules that look for names.
    pub fn shown(&self) -> Cow<'_, str> {
        self.literal().unwrap_or(Cow::Borrowed(&self.raw))
    }

    /// Is something of it decided when it runs?
    pub fn is_dynamic(&self) -> bool {
        self.literal().is_none()
    }

    /// Does any quote or escape stand in it?
    pub fn is_quoted(&self) -> bool {
        self.parts.iter().any(|part| part.quote != Quote::Bare)
    }

    /// The variables of its own, not those in substitutions.
    pub fn variables(&self) -> impl Iterator<Item = (&Variable, &Part)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            PartKind::Variable(variable) => Some((variable, part)),
            _ => None,
        })
    }
}

impl List {
    /// Has it no command?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Simple {
    /// The program's name, without its folder, where it is known by reading.
    pub fn name(&self) -> Option<String> {
        self.words.first()?.literal().map(|name| base_name(&name).to_owned())
    }

    /// What follows the name.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
}
