//! DL4003: a stage has several CMDs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4003"),
    name: "one-cmd",
    severity: Severity::Warning,
    what: "A stage has several CMDs.",
    why: "Only the last one counts; the others mislead.",
    bad: "FROM debian:12\n\
          CMD [\"true\"]\n\
          CMD [\"python\", \"app.py\"]\n",
    good: "FROM debian:12\n\
          CMD [\"python\", \"app.py\"]\n",
    aliases: &["MultipleInstructionsDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for stage in &lint.stages {
        let all = lint.steps_of(stage).iter().filter(|step| matches!(step.command, Some(Command::Cmd(_))));
        let all: Vec<&Step<'_>> = all.collect();
        for pair in all.windows(2) {
            let [earlier, later] = pair else { continue };
            let fix = safe("take the earlier one out", vec![lint.without(earlier)]);
            tell(lint, found, later, later.name(), "a second CMD replaces the one before it", "keep the last one", fix);
        }
    }
}
