//! DL3002: the last USER of a stage is root.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3002"),
    name: "last-user-root",
    severity: Severity::Warning,
    what: "The last USER of a stage is root.",
    why: "Who breaks into the process is root in the container then, one fault of the kernel or of a mount away from root on the host.",
    bad: "FROM debian:12\n\
          USER root\n",
    good: "FROM debian:12\n\
          USER 10001\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for stage in &lint.stages {
        let last = lint.steps_of(stage).iter().rev().find_map(|step| match &step.command {
            Some(Command::User(user)) => Some((step, user)),
            _ => None,
        });
        let Some((step, user)) = last.filter(|(_, user)| is_root(&user.text)) else { continue };
        let help = "end the stage with the number of a user without rights, as USER 10001";
        tell(lint, found, step, step.word(user), "the last USER of this stage is root", help, None);
    }
}

fn is_root(user: &str) -> bool {
    matches!(user, "root" | "0") || user.starts_with("root:") || user.starts_with("0:")
}
