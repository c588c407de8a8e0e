//! DL3014: installing with apt-get asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, insert_flag, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3014"),
    name: "apt-without-yes",
    severity: Severity::Warning,
    what: "Installing with apt-get asks before it begins.",
    why: "Nobody answers in a build: it ends there.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install curl\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| asks(command)).collect();
        let Some(first) = all.first() else { return };
        let fix = insert_flag(lint, &all, &["install"], "-y").and_then(|edits| safe("answer with -y", edits));
        tell(
            lint,
            found,
            step,
            first.at.clone(),
            "apt-get install asks, and nobody answers",
            "write apt-get install -y",
            fix,
        );
    });
}

fn asks(command: &Plain) -> bool {
    let quiet = command.count("q") == 2 || command.count("quiet") == 2 || command.argument(&["-q=2"]).is_some();
    command.has("apt-get", &["install"]) && !command.has_flag(&["y", "yes", "qq", "assume-yes"]) && !quiet
}
