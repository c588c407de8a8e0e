//! DL3049: a label that the settings ask for is missing.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{tell, unquoted};
use crate::lint::{Lint, Stage, Step};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3049"),
    name: "label-missing",
    severity: Severity::Info,
    what: "A label that the settings ask for is missing.",
    why: "Who runs many images finds their owner, source and version by labels; the settings say which have to be there.",
    bad: "# settings: labels = { maintainer = \"text\" }\n\
          FROM debian:12\n",
    good: "# settings: labels = { maintainer = \"text\" }\n\
          FROM debian:12\n\
          LABEL maintainer=\"me@example.com\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for label in lint.config.labels.keys() {
        for stage in without(lint, label) {
            let Some(step) = lint.steps.get(stage) else { continue };
            let message = format!("the label {label} is missing");
            tell(lint, found, step, step.name(), message, format!("write LABEL {label}=\"…\""), None);
        }
    }
}

/// Steps of FROM. Of a stage that stands on one with the label nothing is asked, nor of one that others copy from.
fn without(lint: &Lint<'_>, label: &str) -> Vec<usize> {
    let has = |stage: &Stage| lint.steps_of(stage).iter().any(|step| sets(step, label));
    let inherits = |stage: &Stage| lint.below(stage).any(has);
    let copied = |stage: &Stage| {
        let name = stage.name.as_ref().map(|name| name.text.as_str());
        lint.steps.iter().filter(|step| step.number > stage.from).any(|step| match &step.command {
            Some(Command::Copy(copy)) => {
                let from = copy.from.as_ref().map(|from| from.text.as_str());
                from.zip(name).is_some_and(|(from, name)| from.eq_ignore_ascii_case(name))
            }
            _ => false,
        })
    };
    lint.stages.iter().filter(|stage| !inherits(stage) && !copied(stage)).map(|stage| stage.from).collect()
}

fn sets(step: &Step<'_>, label: &str) -> bool {
    let Some(Command::Label(pairs)) = &step.command else { return false };
    pairs.iter().any(|pair| unquoted(&pair.name.text) == label)
}
