//! DL3003: rUN changes its folder with cd.

use corten_diagnostic::{RuleId, Severity};

use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3003"),
    name: "workdir-for-cd",
    severity: Severity::Warning,
    what: "RUN changes its folder with cd.",
    why: "It lasts for this RUN alone; a reader has to know where each command is. WORKDIR says it once, and also for the container.",
    bad: "FROM debian:12\n\
          RUN cd /src && make\n",
    good: "FROM debian:12\n\
          WORKDIR /src\n\
          RUN make\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        if step.is_trigger() {
            return;
        }
        let Some(command) = ran.command("cd") else { return };
        let help = "write WORKDIR before this RUN";
        tell(lint, found, step, command.at.clone(), "cd lasts only for this RUN", help, None);
    });
}
