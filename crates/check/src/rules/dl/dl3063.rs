//! DL3063: a stage has a name that means something else.

use corten_diagnostic::{RuleId, Severity};

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3063"),
    name: "reserved-stage",
    severity: Severity::Warning,
    what: "A stage has a name that means something else.",
    why: "To FROM and COPY, `scratch` is nothing, and `context` the folder that is sent: who names the stage does not get it.",
    bad: "FROM debian:12 AS context\n",
    good: "FROM debian:12 AS build\n",
    aliases: &["ReservedStageName"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for stage in &lint.stages {
        let (Some(name), Some(step)) = (&stage.name, lint.steps.get(stage.from)) else { continue };
        if matches!(name.text.as_str(), "scratch" | "context") {
            let message = format!("{} means something else", name.text);
            tell(lint, found, step, step.word(name), message, "give the stage another name", None);
        }
    }
}
