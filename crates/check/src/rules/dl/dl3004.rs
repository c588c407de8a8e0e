//! DL3004: RUN uses sudo.

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::ran::Ran;
use super::{each_run, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3004"),
    name: "no-sudo",
    severity: Severity::Error,
    what: "RUN uses sudo.",
    why: "A build is root already, or the user that USER names; sudo needs a terminal or a password now and then, and stays in the image for whoever breaks in.",
    bad: "FROM debian:12\n\
          RUN sudo apt-get update\n",
    good: "FROM debian:12\n\
          RUN apt-get update\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let Some(command) = ran.command("sudo") else { return };
        let help =
            "leave it out, or write USER root before and the user again behind; to change users at a start take gosu";
        let fix = root_at(lint, step).then(|| without_sudo(lint, ran)).flatten();
        tell(lint, found, step, command.at.clone(), "sudo in a build", help, fix);
    });
}

/// Does the stage's own USER say so, or nobody since a base that starts as root?
fn root_at(lint: &Lint<'_>, step: &Step<'_>) -> bool {
    let Some(stage) = lint.stage_of(step) else { return false };
    let users = lint.below(stage).find_map(|stage| {
        let before = lint.steps_of(stage).iter().rev().filter(|one| one.number < step.number);
        before.into_iter().find_map(|one| match &one.command {
            Some(Command::User(user)) => Some(user.text.clone()),
            _ => None,
        })
    });
    users.is_some_and(|user| matches!(user.as_str(), "root" | "0"))
}

/// Only plain `sudo program`: options of sudo mean something.
fn without_sudo(lint: &Lint<'_>, ran: &Ran) -> Option<Fix> {
    let all = ran.commands.iter().filter(|command| command.name == "sudo");
    let edits = all.map(|command| {
        let first = command.arguments.first()?;
        let plain = !first.text.starts_with('-') && !first.text.contains('=') && command.stands(lint);
        plain.then(|| lint.edit(command.at.start..first.at.start, ""))
    });
    safe("leave sudo out: the build is root here", edits.collect::<Option<_>>()?)
}
