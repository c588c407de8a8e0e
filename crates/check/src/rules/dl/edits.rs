//! Changes that several rules propose.

use corten_diagnostic::{Edit, Fix};
use corten_frontend::dockerfile::{Arguments, Command, Word};

use super::ran::Plain;
use crate::lint::{Lint, Stage, Step};
use crate::rules::{safe, unsafe_fix};
use crate::shell::Joint;

/// One command more at the end of a RUN, joined as those before it are. None where the end is not one to go on from.
pub(super) fn append(lint: &Lint<'_>, step: &Step<'_>, command: &str) -> Option<Edit> {
    let script = step.script.as_ref().filter(|_| step.exec().is_none())?;
    let (last, before) = script.list.items.split_last()?;
    if last.background {
        return None;
    }
    let between = before
        .last()
        .filter(|_| last.joint == Joint::And)
        .map(|before| lint.text(before.pipeline.at.end..last.pipeline.at.start).to_owned());
    // Comments amidst the lines stay where they are.
    let joint = between.filter(|text| text.contains('\n') && !text.contains('#'));
    let end = last.pipeline.at.end;
    Some(lint.edit(end..end, joint.unwrap_or_else(|| " && ".to_owned()) + command))
}

/// An option behind the verb of each command. None where one of them does not stand in the text as it is.
pub(super) fn insert_flag(lint: &Lint<'_>, all: &[&Plain], verbs: &[&str], flag: &str) -> Option<Vec<Edit>> {
    let edit = |command: &&Plain| {
        let verb = command.argument(verbs)?;
        let is_there = lint.text(verb.at.clone()) == verb.text;
        is_there.then(|| lint.edit(verb.at.end..verb.at.end, format!(" {flag}")))
    };
    all.iter().map(edit).collect()
}

/// An option behind the name of each command. None where one of them does not stand in the text as it is.
pub(super) fn behind_name(lint: &Lint<'_>, all: &[&Plain], flag: &str) -> Option<Vec<Edit>> {
    let edit = |command: &&Plain| {
        let end = command.at.end;
        command.stands(lint).then(|| lint.edit(end..end, format!(" {flag}")))
    };
    all.iter().map(edit).collect()
}

/// Takes out a flag of an instruction, and the blanks behind it.
pub(super) fn behind(lint: &Lint<'_>, step: &Step<'_>, flag: &Word) -> Option<Edit> {
    let rest = step.line().text.get(flag.range.end..)?;
    let blanks = rest.len() - rest.trim_start().len();
    (blanks > 0).then(|| lint.edit(step.place(flag.range.start..flag.range.end + blanks), ""))
}

/// `["program", "argument"]`, where a shell would do nothing but cut the text at its blanks.
pub(super) fn exec_form(lint: &Lint<'_>, step: &Step<'_>, text: &str) -> Option<Fix> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=,@%+".contains(letter);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let first = words.first()?;
    if NO_PROGRAMS.contains(first) || first.contains('=') || !words.iter().all(|word| word.chars().all(plain)) {
        return None;
    }
    let Arguments::Text(word) = &step.instruction.arguments else { return None };
    let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let edits = vec![lint.edit(step.word(word), format!("[{}]", list.join(", ")))];
    let title = "write it as a list";
    if is_alone(lint, step) && is_plain_shell(lint, step) { safe(title, edits) } else { unsafe_fix(title, edits) }
}

/// Words that only a shell knows.
const NO_PROGRAMS: [&str; 47] = [
    ".", ":", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "coproc", "declare", "eval",
    "exec", "exit", "export", "fg", "for", "function", "getopts", "hash", "if", "jobs", "let", "local", "popd",
    "pushd", "read", "readonly", "return", "select", "set", "shift", "shopt", "source", "time", "times", "trap",
    "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// Is it the only CMD or ENTRYPOINT of the stages below and on it? Beside each other their two forms mean other things.
fn is_alone(lint: &Lint<'_>, step: &Step<'_>) -> bool {
    // Of a file with more stages nobody says so.
    const STAGES: usize = 64;
    let Some(own) = lint.stage_of(step).filter(|_| lint.stages.len() <= STAGES) else { return false };
    let stands_on = |stage: &Stage, other: &Stage| lint.below(stage).any(|one| one.number == other.number);
    let related = lint.stages.iter().filter(|stage| stands_on(own, stage) || stands_on(stage, own));
    let kinds = |step: &&Step<'_>| matches!(step.meant(), Some(Command::Cmd(_) | Command::Entrypoint(_)));
    related.flat_map(|stage| lint.steps_of(stage)).filter(kinds).nth(1).is_none()
}

/// Does the shell in force do nothing before the command? One that reads a profile, or a program like conda run, does.
fn is_plain_shell(lint: &Lint<'_>, step: &Step<'_>) -> bool {
    let usual = ["/bin/sh".to_owned(), "-c".to_owned()];
    // A comment may name the language of a shell whose options it does not tell.
    let words = match step.shell.step.and_then(|number| lint.steps.get(number)?.command.as_ref()) {
        Some(Command::Shell(words)) => words.as_slice(),
        _ => usual.as_slice(),
    };
    let reads_more = |word: &String| match word.strip_prefix('-') {
        Some(flags) => flags.contains(['l', 'i']),
        None => !["errexit", "nounset", "pipefail", "xtrace"].contains(&word.as_str()),
    };
    let same = step.shell.words == words;
    same && step.shell.dialect.is_some()
        && !words.iter().skip(1).any(reads_more)
        && lint.definition(step, "BASH_ENV").is_none()
}

/// As a value in double quotes, with no variable in it.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.chars().flat_map(|letter| {
        let mark = matches!(letter, '"' | '\\' | '$').then_some('\\');
        mark.into_iter().chain([letter])
    });
    format!("\"{}\"", escaped.collect::<String>())
}
