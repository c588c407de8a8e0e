//! DL3015: what is only recommended is installed with apt-get, too.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, insert_flag, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3015"),
    name: "apt-recommends",
    severity: Severity::Info,
    what: "What is only recommended is installed with apt-get, too.",
    why: "That is often more than what was asked for: documentation, desktops, mail servers.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y --no-install-recommends curl\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| recommends(command)).collect();
        let Some(first) = all.first() else { return };
        let fix = insert_flag(lint, &all, &["install"], "--no-install-recommends")
            .and_then(|edits| unsafe_fix("leave out what is recommended: something may be missed then", edits));
        let message = "apt-get install brings what is only recommended";
        tell(lint, found, step, first.at.clone(), message, "write apt-get install --no-install-recommends", fix);
    });
}

fn recommends(command: &Plain) -> bool {
    command.has("apt-get", &["install"])
        && !command.has_flag(&["no-install-recommends"])
        && command.argument(&["APT::Install-Recommends=false"]).is_none()
}
