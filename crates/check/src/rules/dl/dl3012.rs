//! DL3012: a stage has several HEALTHCHECKs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3012"),
    name: "one-healthcheck",
    severity: Severity::Error,
    what: "A stage has several HEALTHCHECKs.",
    why: "Only the last one counts; the others mislead.",
    bad: "FROM debian:12\n\
          HEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost/\"]\n\
          HEALTHCHECK CMD [\"true\"]\n",
    good: "FROM debian:12\n\
          HEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost/\"]\n",
    aliases: &["MultipleInstructionsDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for stage in &lint.stages {
        let all = lint.steps_of(stage).iter().filter(|step| matches!(step.command, Some(Command::Healthcheck(_))));
        let all: Vec<&Step<'_>> = all.collect();
        for pair in all.windows(2) {
            let [earlier, later] = pair else { continue };
            let fix = unsafe_fix("take the earlier one out", vec![lint.without(earlier)]);
            let help = "keep the one that is meant";
            tell(lint, found, later, later.name(), "a second HEALTHCHECK replaces the one before it", help, fix);
        }
    }
}
