//! Rules with hadolint's numbers: same number, same meaning, same line.
//!
//! hadolint tells a finding at the line that its instruction begins on, once for an instruction; so do these, and their messages
//! name what they are about. Where they differ on purpose is a table in `docs/lint.md`.
//! Commands are read as [`ran`] says.

mod dl1000;
mod dl1001;
mod dl3000;
mod dl3001;
mod dl3002;
mod dl3003;
mod dl3004;
mod dl3006;
mod dl3007;
mod dl3008;
mod dl3009;
mod dl3010;
mod dl3011;
mod dl3012;
mod dl3013;
mod dl3014;
mod dl3015;
mod dl3016;
mod dl3018;
mod dl3019;
mod dl3020;
mod dl3021;
mod dl3022;
mod dl3023;
mod dl3024;
mod dl3025;
mod dl3026;
mod dl3027;
mod dl3028;
mod dl3029;
mod dl3030;
mod dl3032;
mod dl3033;
mod dl3034;
mod dl3035;
mod dl3036;
mod dl3037;
mod dl3038;
mod dl3040;
mod dl3041;
mod dl3042;
mod dl3043;
mod dl3044;
mod dl3045;
mod dl3046;
mod dl3047;
mod dl3048;
mod dl3049;
mod dl3050;
mod dl3051;
mod dl3052;
mod dl3053;
mod dl3054;
mod dl3055;
mod dl3056;
mod dl3057;
mod dl3058;
mod dl3059;
mod dl3060;
mod dl3061;
mod dl3062;
mod dl3063;
mod dl3064;
mod dl3065;
mod dl3066;
mod dl3067;
mod dl4000;
mod dl4001;
mod dl4003;
mod dl4004;
mod dl4005;
mod dl4006;
mod edits;
mod image;
mod managers;
pub(crate) mod ran;
mod values;
mod versions;

#[cfg(test)]
mod tests;

use std::ops::Range;

use corten_diagnostic::{Edit, Fix, Place};
use corten_frontend::dockerfile::{Command, Copy, Keyword, Pair, Word};

use super::{Found, Rule};
use crate::lint::{LabelKind, Lint, Step};

use edits::{append, behind, behind_name, exec_form, insert_flag, quoted};
use image::{Inherited, Kept, images, split};
use ran::{Argument, Ran};

/// All of them, by number.
pub(super) const RULES: [Rule; 72] = [
    dl1000::RULE,
    dl1001::RULE,
    dl3000::RULE,
    dl3001::RULE,
    dl3002::RULE,
    dl3003::RULE,
    dl3004::RULE,
    dl3006::RULE,
    dl3007::RULE,
    dl3008::RULE,
    dl3009::RULE,
    dl3010::RULE,
    dl3011::RULE,
    dl3012::RULE,
    dl3013::RULE,
    dl3014::RULE,
    dl3015::RULE,
    dl3016::RULE,
    dl3018::RULE,
    dl3019::RULE,
    dl3020::RULE,
    dl3021::RULE,
    dl3022::RULE,
    dl3023::RULE,
    dl3024::RULE,
    dl3025::RULE,
    dl3026::RULE,
    dl3027::RULE,
    dl3028::RULE,
    dl3029::RULE,
    dl3030::RULE,
    dl3032::RULE,
    dl3033::RULE,
    dl3034::RULE,
    dl3035::RULE,
    dl3036::RULE,
    dl3037::RULE,
    dl3038::RULE,
    dl3040::RULE,
    dl3041::RULE,
    dl3042::RULE,
    dl3043::RULE,
    dl3044::RULE,
    dl3045::RULE,
    dl3046::RULE,
    dl3047::RULE,
    dl3048::RULE,
    dl3049::RULE,
    dl3050::RULE,
    dl3051::RULE,
    dl3052::RULE,
    dl3053::RULE,
    dl3054::RULE,
    dl3055::RULE,
    dl3056::RULE,
    dl3057::RULE,
    dl3058::RULE,
    dl3059::RULE,
    dl3060::RULE,
    dl3061::RULE,
    dl3062::RULE,
    dl3063::RULE,
    dl3064::RULE,
    dl3065::RULE,
    dl3066::RULE,
    dl3067::RULE,
    dl4000::RULE,
    dl4001::RULE,
    dl4003::RULE,
    dl4004::RULE,
    dl4005::RULE,
    dl4006::RULE,
];

/// A finding at the line that the instruction begins on: the words in question where they stand on it, else its name.
fn tell(
    lint: &Lint<'_>,
    found: &mut Found,
    step: &Step<'_>,
    at: Range<usize>,
    message: impl Into<String>,
    help: impl Into<String>,
    fix: Option<Fix>,
) {
    found.fixed(mark(lint, step, at), message, help, fix);
}

fn mark(lint: &Lint<'_>, step: &Step<'_>, at: Range<usize>) -> Place {
    let start = step.name().start;
    let line = lint.file.text().get(start..).and_then(|rest| rest.find('\n'));
    let end = line.map_or(lint.file.text().len(), |length| start + length);
    let is_there = at.start < at.end && (start..end).contains(&at.start);
    lint.place(if is_there { at.start..at.end.min(end) } else { step.name() })
}

/// Each RUN, also after ONBUILD, with its commands.
fn each_run<'l>(lint: &'l Lint<'_>, mut look: impl FnMut(&'l Step<'l>, &'l Ran)) {
    for ran in lint.ran() {
        if let Some(step) = lint.steps.get(ran.step) {
            look(step, ran);
        }
    }
}

/// Each COPY, but for those after ONBUILD.
fn copies<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l Step<'l>, &'l Copy)> {
    lint.copies().filter(|(step, copy)| !copy.add && !step.is_trigger())
}

/// Those that take from a stage or an image, and its name.
fn copies_from<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l Step<'l>, &'l Word)> {
    copies(lint).filter_map(|(step, copy)| Some((step, copy.from.as_ref()?)))
}

/// Instructions of which the last one of a stage counts: each that replaces one before it.
fn last_counts(
    lint: &Lint<'_>,
    found: &mut Found,
    keyword: Keyword,
    help: &str,
    fix: fn(&'static str, Vec<Edit>) -> Option<Fix>,
) {
    for stage in &lint.stages {
        let is_it = |step: &&Step<'_>| step.instruction.keyword == keyword && step.command.is_some();
        let all: Vec<&Step<'_>> = lint.steps_of(stage).iter().filter(is_it).collect();
        for pair in all.windows(2) {
            let [earlier, later] = pair else { continue };
            let fix = fix("take the earlier one out", vec![lint.without(earlier)]);
            let message = format!("a second {} replaces the one before it", keyword.name());
            tell(lint, found, later, later.name(), message, help, fix);
        }
    }
}

/// One finding for all packages of a RUN that have no version.
fn packages_without_version(lint: &Lint<'_>, found: &mut Found, step: &Step<'_>, open: &[&Argument], advice: &str) {
    let Some(first) = open.first() else { return };
    let mut names: Vec<&str> = open.iter().map(|one| one.text.as_str()).collect();
    names.dedup();
    let message = match names.as_slice() {
        [one] => format!("{one} has no version"),
        [one, other] => format!("{one} and {other} have no version"),
        [one, other, rest @ ..] => format!("{one}, {other} and {} more have no version", rest.len()),
        [] => return,
    };
    tell(lint, found, step, first.at.clone(), message, format!("write {advice}"), None);
}

/// LABEL, and its pairs.
fn labels<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l Step<'l>, &'l [Pair])> {
    lint.steps.iter().filter_map(|step| match &step.command {
        Some(Command::Label(pairs)) => Some((step, pairs.as_slice())),
        _ => None,
    })
}

/// Labels that the settings know, whose value is not as they want it: `judge` says what it is.
fn label_rule(lint: &Lint<'_>, found: &mut Found, judge: impl Fn(LabelKind, &str) -> Option<&'static str>) {
    for (step, pairs) in labels(lint) {
        for pair in pairs {
            let Some(kind) = lint.config.labels.get(unquoted(&pair.name.text)) else { continue };
            if let Some(what) = judge(*kind, unquoted(&pair.value.text)) {
                let message = format!("the label {} {what}", unquoted(&pair.name.text));
                tell(lint, found, step, step.word(&pair.value), message, "mend the value", None);
            }
        }
    }
}

/// Without quotes around it.
fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// From `/` on, or from a drive of Windows.
fn is_absolute(path: &str) -> bool {
    let mut letters = path.chars();
    path.starts_with('/') || letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':')
}

/// By its name.
fn is_archive(path: &str) -> bool {
    const ENDS: [&str; 15] = [
        ".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".tlz", ".tpz", ".txz",
        ".xz",
    ];
    ENDS.iter().any(|end| unquoted(path).ends_with(end))
}

/// Does SHELL look at all of a pipe? Shells of Windows are not asked.
fn pipefail_of(shell: &[String]) -> bool {
    let words: Vec<&str> = shell.iter().flat_map(|word| word.split_whitespace()).collect();
    let Some(program) = words.first() else { return false };
    if ["pwsh", "powershell", "cmd"].iter().any(|name| program.starts_with(name)) {
        return true;
    }
    let options =
        words.iter().skip(1).any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('o'));
    ["bash", "zsh", "ash"].contains(&crate::shell::base_name(program)) && options && words.contains(&"pipefail")
}
