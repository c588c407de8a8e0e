//! BuildKit's checks, under its names and in its words: what `docker build --check` says, this says.
//!
//! [`walk`] goes through the file once as BuildKit does; each check is a file that looks at what came out. The texts are compared
//! with BuildKit's own answers (`../shared/data/dockerfile/oracle`).

mod answer;
mod consistent_instruction_casing;
mod copy_ignored_file;
mod duplicate_stage_name;
mod expose_invalid_format;
mod expose_proto_casing;
mod from_as_casing;
mod from_platform_flag_const_disallowed;
mod invalid_base_image_platform;
mod invalid_default_arg_in_from;
mod invalid_definition_description;
mod json_args_recommended;
mod legacy_key_value_format;
mod maintainer_deprecated;
mod multiple_instructions_disallowed;
mod no_empty_continuation;
mod redundant_target_platform;
mod reserved_stage_name;
mod secrets_used_in_arg_or_env;
mod stage_name_casing;
mod undefined_arg_in_from;
mod undefined_var;
mod walk;
mod workdir_relative_path;

#[cfg(test)]
mod tests;

use std::ops::Range;

use corten_diagnostic::{Edit, Fix, Place, Span};
use corten_frontend::dockerfile::{Arguments, Instruction, Word};

use crate::lint::{Lint, Step};
use crate::rules::{Rule, unsafe_fix};

pub use answer::{CheckOptions, Warning, warnings};
pub(crate) use walk::Walk;
use walk::{Seen, Unset, Walker};

/// All of them, in the order in which BuildKit comes to them.
pub(super) const CHECKS: [Rule; 22] = [
    no_empty_continuation::RULE,
    maintainer_deprecated::RULE,
    stage_name_casing::RULE,
    from_as_casing::RULE,
    invalid_definition_description::RULE,
    reserved_stage_name::RULE,
    duplicate_stage_name::RULE,
    consistent_instruction_casing::RULE,
    invalid_default_arg_in_from::RULE,
    undefined_arg_in_from::RULE,
    redundant_target_platform::RULE,
    from_platform_flag_const_disallowed::RULE,
    invalid_base_image_platform::RULE,
    undefined_var::RULE,
    legacy_key_value_format::RULE,
    secrets_used_in_arg_or_env::RULE,
    workdir_relative_path::RULE,
    copy_ignored_file::RULE,
    multiple_instructions_disallowed::RULE,
    json_args_recommended::RULE,
    expose_proto_casing::RULE,
    expose_invalid_format::RULE,
];

/// Those that no rule of hadolint stands for: the linter asks these, and hadolint's for the rest.
pub(super) const RULES: [Rule; 13] = [
    no_empty_continuation::RULE,
    stage_name_casing::RULE,
    from_as_casing::RULE,
    invalid_definition_description::RULE,
    consistent_instruction_casing::RULE,
    invalid_default_arg_in_from::RULE,
    undefined_arg_in_from::RULE,
    invalid_base_image_platform::RULE,
    undefined_var::RULE,
    legacy_key_value_format::RULE,
    copy_ignored_file::RULE,
    expose_proto_casing::RULE,
    expose_invalid_format::RULE,
];

/// Goes through the file of a linter.
pub(crate) fn walk(lint: &Lint<'_>) -> Walk {
    let config_of = |name: &str| lint.config.images.get(name).map(|image| image.config.clone());
    let mut walk = Walker::walk(lint.file, &lint.config.options(), &config_of);
    walk.compare_platforms(&lint.config.options(), &|name| {
        let image = lint.config.images.get(name)?;
        Some((image.os.clone(), image.architecture.clone(), image.variant.clone()))
    });
    walk
}

/// An instruction, and what BuildKit would see there.
struct Line<'l> {
    lint: &'l Lint<'l>,
    step: &'l Step<'l>,
    instruction: &'l Instruction,
    seen: &'l Seen,
}

/// All of them, in the order of the file.
fn lines<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = Line<'l>> {
    let all = lint.steps.iter().zip(&lint.buildkit().seen);
    all.map(move |(step, seen)| Line { lint, step, instruction: step.instruction, seen })
}

/// The patterns of the ignore file, where one is known.
fn ignored(lint: &Lint<'_>) -> Option<Vec<String>> {
    let file = lint.config.ignore.as_ref()?;
    Some(corten_frontend::ignore::read_ignore_file(&file.text).into_iter().map(|(_, pattern)| pattern).collect())
}

impl Line<'_> {
    /// The arguments, where they are words.
    fn words(&self) -> &[Word] {
        match &self.instruction.arguments {
            Arguments::Words(words) => words,
            _ => &[],
        }
    }

    fn at(&self, word: &Word) -> Place {
        self.lint.place(self.step.word(word))
    }

    /// A replacement of a part of the joined line.
    fn edit(&self, range: Range<usize>, text: &str) -> Edit {
        self.lint.edit(self.step.place(range), text)
    }

    /// The name that was probably meant, wherever a word has the other one.
    fn renamed(&self, unset: &Unset) -> Option<Fix> {
        let near = unset.near.as_ref()?;
        let written = self.instruction.line.text.get(unset.word.range.clone())?;
        let dollars = written.match_indices('$').map(|(at, _)| at + 1);
        let names = dollars.filter_map(|at| {
            let brace = usize::from(written.get(at..)?.starts_with('{'));
            let start = at + brace;
            let rest = written.get(start..)?.strip_prefix(unset.name.as_str())?;
            let is_whole = !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
            is_whole.then_some(start..start + unset.name.len())
        });
        let from = unset.word.range.start;
        let edits: Vec<Edit> = names.map(|name| self.edit(from + name.start..from + name.end, near)).collect();
        (!edits.is_empty()).then(|| unsafe_fix(format!("write {near}"), edits)).flatten()
    }

    /// All of it goes.
    fn removal(&self) -> Edit {
        self.lint.without(self.step)
    }

    /// A flag goes, with the blanks behind it.
    fn without_flag(&self, name: &str) -> Option<Edit> {
        let is_it = |flag: &&Word| flag.text.trim_start_matches('-').split('=').next() == Some(name);
        let flag = self.instruction.flags.iter().find(is_it)?;
        let rest = self.instruction.line.text.get(flag.range.end..)?;
        let blanks = rest.len() - rest.trim_start().len();
        Some(self.edit(flag.range.start..flag.range.end + blanks, ""))
    }

    /// A whole line of the file, counted from 1, without its end.
    fn whole_line(&self, number: usize) -> Span {
        let range = self.range_of(number);
        let text = self.lint.text(range.clone());
        self.lint.span(range.start..range.start + text.trim_end_matches(['\r', '\n']).len())
    }

    /// Whole lines go, with their ends; those that follow each other at once.
    fn without_lines(&self, numbers: &[usize]) -> Vec<Edit> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let (mut at, mut wanted) = (0, numbers.iter().peekable());
        for (index, line) in self.lint.file.text().split_inclusive('\n').enumerate() {
            if wanted.next_if(|number| **number == index + 1).is_some() {
                match ranges.last_mut() {
                    Some(last) if last.end == at => last.end = at + line.len(),
                    _ => ranges.push(at..at + line.len()),
                }
            }
            at += line.len();
        }
        ranges.into_iter().map(|range| self.lint.edit(range, "")).collect()
    }

    fn range_of(&self, number: usize) -> Range<usize> {
        let text = self.lint.file.text();
        let start: usize = text.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
        let length = text.get(start..).and_then(|rest| rest.split_inclusive('\n').next()).map_or(0, str::len);
        start..start + length
    }
}

/// A port of EXPOSE: `[address:][host's:]port[/protocol]`.
struct Port<'t> {
    has_host: bool,
    /// Port and protocol.
    container: &'t str,
    protocol: &'t str,
}

/// None for what BuildKit refuses.
fn port(text: &str) -> Option<Port<'_>> {
    let (host, container) = match text.rsplit_once(':') {
        Some((host, container)) => (host, container),
        None => ("", text),
    };
    let (number, protocol) = container.split_once('/').unwrap_or((container, ""));
    let is_known = ["", "tcp", "udp", "sctp"].contains(&protocol.to_lowercase().as_str());
    (!number.is_empty() && is_known).then_some(Port { has_host: !host.is_empty(), container, protocol })
}
