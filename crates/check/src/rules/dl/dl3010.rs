//! DL3010: an archive is copied, and unpacked by a later RUN.

use std::collections::{HashMap, HashSet};

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Command, Copy};

use super::ran::{Argument, Plain};
use super::{is_archive, tell, unquoted};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3010"),
    name: "add-for-archives",
    severity: Severity::Info,
    what: "An archive is copied, and unpacked by a later RUN.",
    why: "The archive stays in its layer beside what was in it; ADD unpacks it and leaves no archive.",
    bad: "FROM debian:12\n\
          COPY app.tar.gz /tmp/\n\
          RUN tar -xzf /tmp/app.tar.gz -C /opt\n",
    good: "FROM debian:12\n\
          ADD app.tar.gz /opt\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const UNPACKERS: [&str; 9] = ["unzip", "gunzip", "bunzip2", "unlzma", "unxz", "zgz", "uncompress", "zcat", "gzcat"];

/// Only of the last stage: what others hold is not in the image.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let last = lint.stages.last().map_or(0, |stage| stage.from);
    let mut copied: HashMap<&str, Vec<&Step<'_>>> = HashMap::new();
    let mut told: HashSet<usize> = HashSet::new();
    for step in lint.steps.iter().filter(|step| step.number >= last) {
        match &step.command {
            Some(Command::Copy(copy)) if !copy.add && copy.from.is_none() => {
                archives(copy).for_each(|name| copied.entry(name).or_default().push(step));
            }
            Some(Command::Run(_)) => {
                let unpacking =
                    lint.ran_of(step).into_iter().flat_map(|ran| ran.commands.iter().filter(|one| unpacks(one)));
                for argument in unpacking.flat_map(|command| command.operands(&[])) {
                    let name = base(&argument.text);
                    for copy in copied.remove(name).into_iter().flatten().filter(|copy| told.insert(copy.number)) {
                        let message = format!("{name} is copied, then unpacked by RUN");
                        tell(lint, found, copy, copy.name(), message, "let ADD unpack it", None);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The names that archives have in the image.
fn archives(copy: &Copy) -> impl Iterator<Item = &str> {
    let target = Some(base(&copy.destination.text)).filter(|name| is_archive(name));
    let sources = copy.paths().map(|path| base(&path.text)).filter(move |name| target.is_none() && is_archive(name));
    target.into_iter().chain(sources)
}

fn base(path: &str) -> &str {
    unquoted(path).rsplit(['/', '\\']).next().unwrap_or_default()
}

fn unpacks(command: &Plain) -> bool {
    let extracts = |one: &Argument| {
        matches!(one.text.as_str(), "--extract" | "--get") || one.text.starts_with('-') && one.text.contains('x')
    };
    command.name == "tar" && command.arguments.iter().any(extracts) || UNPACKERS.contains(&command.name.as_str())
}
