//! Which programs a script starts, however they are wrapped: `sudo`, `env A=b`, `xargs`, `sh -c '…'`.

use std::borrow::Cow;
use std::ops::Range;

use super::walk::{Context, Visited};
use super::{Script, Simple, Word, base_name};

/// A program that a script starts.
#[derive(Debug, Clone)]
pub struct Call<'s> {
    /// The command that it is part of.
    pub simple: &'s Simple,
    /// The program's name without its folder.
    pub name: Cow<'s, str>,
    /// The program and its arguments: what stands before (`sudo -E`, `env A=b`) is gone.
    pub words: &'s [Word],
    /// Words before it: `sudo`, `env`, `xargs` with their options.
    pub wrapper: &'s [Word],
    /// Where in the script it stands.
    pub context: Context,
}

/// An option of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag<'s> {
    /// Without dashes: `y` of `-yq`, `no-install-recommends`.
    pub name: Cow<'s, str>,
    /// `--long`, or a letter.
    pub long: bool,
    /// Behind `=`.
    pub value: Option<Cow<'s, str>>,
    /// The word that it stands in.
    pub word: &'s Word,
}

impl Script {
    /// All programs that it starts, in the order of the text: also in substitutions, functions, `sh -c '…'`.
    pub fn calls(&self) -> Vec<Call<'_>> {
        let mut calls = Vec::new();
        self.visit(&mut |visited, context| {
            if let Visited::Simple(simple) = visited {
                calls.extend(Call::of(simple, context));
            }
        });
        calls
    }

    /// The same without what stands in texts for other shells (`sh -c '…'`).
    pub fn own_calls(&self) -> Vec<Call<'_>> {
        let mut calls = self.calls();
        calls.retain(|call| !call.context.inner);
        calls
    }
}

impl<'s> Call<'s> {
    /// None where its name is not known by reading, or there is none.
    fn of(simple: &'s Simple, context: Context) -> Option<Self> {
        let at = unwrapped(&simple.words);
        let (wrapper, words) = simple.words.split_at(at);
        let name = match words.first()?.literal()? {
            Cow::Borrowed(name) => Cow::Borrowed(base_name(name)),
            Cow::Owned(name) => Cow::Owned(base_name(&name).to_owned()),
        };
        Some(Self { simple, name, words, wrapper, context })
    }

    /// Is it this program?
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Is it one of these?
    pub fn is_any(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_ref())
    }

    /// What follows the name.
    pub fn arguments(&self) -> &'s [Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// In the Dockerfile: from the program's name to its last argument.
    pub fn at(&self) -> Range<usize> {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => first.at.start..last.at.end,
            _ => self.simple.at.clone(),
        }
    }

    /// Does one of its arguments mean this?
    pub fn has(&self, argument: &str) -> bool {
        self.arguments().iter().any(|word| word.is(argument))
    }

    /// Does one of its arguments mean one of these?
    pub fn has_any(&self, arguments: &[&str]) -> bool {
        arguments.iter().any(|argument| self.has(argument))
    }

    /// Is the first argument that is no option this? `apt-get -y install`, `pip install`.
    pub fn verb_is(&self, verb: &str) -> bool {
        self.operands().next().is_some_and(|word| word.is(verb))
    }

    /// All options, `-yq` as two; none after `--`.
    pub fn flags(&self) -> Vec<Flag<'s>> {
        let mut flags = Vec::new();
        for word in self.arguments() {
            let start = word.known_start();
            if start == "--" {
                break;
            }
            if let Some(long) = start.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, _)) => (name.to_owned(), Some(value_of(word))),
                    None => (long.to_owned(), None),
                };
                flags.push(Flag { name: Cow::Owned(name), long: true, value, word });
            } else if let Some(letters) = start.strip_prefix('-') {
                let short = letters.chars().take_while(|letter| letter.is_ascii_alphanumeric());
                flags.extend(short.map(|letter| Flag {
                    name: Cow::Owned(letter.to_string()),
                    long: false,
                    value: None,
                    word,
                }));
            }
        }
        flags
    }

    /// Has it one of these options? `y` is a letter, `yes` a long one.
    pub fn has_flag(&self, names: &[&str]) -> bool {
        self.flags()
            .iter()
            .any(|flag| names.contains(&flag.name.as_ref()) && flag.long == (flag.name.chars().count() > 1))
    }

    /// Arguments that are no options; after `--` all.
    pub fn operands(&self) -> impl Iterator<Item = &'s Word> + use<'s> {
        let mut rest = false;
        self.arguments().iter().filter(move |word| {
            let start = word.known_start();
            let is_end = !rest && start == "--";
            let is_flag = !rest && start.len() > 1 && start.starts_with('-');
            rest |= is_end;
            !is_end && !is_flag
        })
    }

    /// Arguments that are neither options nor the values of these (`t` for `-t value`, `target-release` for
    /// `--target-release value`).
    pub fn operands_without(&self, with_values: &[&str]) -> Vec<&'s Word> {
        let mut operands = Vec::new();
        let (mut rest, mut skip) = (false, false);
        for word in self.arguments() {
            let start = word.known_start();
            if std::mem::take(&mut skip) {
                continue;
            }
            if rest || start.len() < 2 || !start.starts_with('-') {
                operands.push(word);
            } else if start == "--" {
                rest = true;
            } else {
                skip = !start.contains('=') && takes_value(&start, with_values);
            }
        }
        operands
    }
}

/// The value behind `=` of a word, with what is dynamic in it as written.
fn value_of(word: &Word) -> Cow<'_, str> {
    match word.shown() {
        Cow::Borrowed(text) => Cow::Borrowed(text.split_once('=').map_or("", |(_, value)| value)),
        Cow::Owned(text) => Cow::Owned(text.split_once('=').map_or_else(String::new, |(_, value)| value.to_owned())),
    }
}

/// Of letters in one word the last one takes the next word.
fn takes_value(start: &str, with_values: &[&str]) -> bool {
    match start.strip_prefix("--") {
        Some(long) => with_values.contains(&long),
        None => start.char_indices().next_back().is_some_and(|(at, _)| with_values.contains(&&start[at..])),
    }
}

/// How many words stand before the program that is meant.
pub(super) fn unwrapped(words: &[Word]) -> usize {
    let mut at = 0;
    while let Some(name) = words.get(at).and_then(Word::literal) {
        let Some(wrapper) = Wrapper::of(base_name(&name)) else { break };
        let next = at + 1 + wrapper.skipped(&words[at + 1..]);
        if next >= words.len() {
            break;
        }
        at = next;
    }
    at
}

/// A program that starts another one.
struct Wrapper {
    /// Options whose value is the next word.
    with_values: &'static [&'static str],
    /// `A=b` may stand before the program.
    assigns: bool,
    /// So many operands come first: the time of `timeout`.
    operands: usize,
}

impl Wrapper {
    fn of(name: &str) -> Option<Self> {
        let wrapper = |with_values, assigns, operands| Some(Self { with_values, assigns, operands });
        match name {
            "sudo" => wrapper(&["u", "g", "h", "p", "C", "r", "t", "T", "U", "D", "R", "user", "group"], true, 0),
            "env" => wrapper(&["u", "C", "S", "unset", "chdir"], true, 0),
            "xargs" => {
                wrapper(&["n", "L", "P", "I", "s", "d", "a", "E", "max-args", "max-procs", "delimiter"], false, 0)
            }
            "nice" => wrapper(&["n", "adjustment"], false, 0),
            "ionice" => wrapper(&["c", "n", "p"], false, 0),
            "timeout" => wrapper(&["k", "s", "kill-after", "signal"], false, 1),
            "stdbuf" => wrapper(&["i", "o", "e"], false, 0),
            "exec" => wrapper(&["a"], false, 0),
            "command" | "builtin" | "nohup" | "time" | "setsid" | "eatmydata" | "fakeroot" | "busybox" => {
                wrapper(&[], false, 0)
            }
            "gosu" | "su-exec" => wrapper(&[], false, 1),
            _ => None,
        }
    }

    fn skipped(&self, words: &[Word]) -> usize {
        let (mut at, mut operands) = (0, self.operands);
        while let Some(word) = words.get(at) {
            let start = word.known_start();
            if start == "--" {
                return at + 1;
            } else if start.len() > 1 && start.starts_with('-') {
                at += if !start.contains('=') && takes_value(&start, self.with_values) { 2 } else { 1 };
            } else if self.assigns && start.split_once('=').is_some_and(|(name, _)| is_name(name)) {
                at += 1;
            } else if operands > 0 {
                operands -= 1;
                at += 1;
            } else {
                break;
            }
        }
        at
    }
}

/// Letters, digits and `_`, no digit first.
pub fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
