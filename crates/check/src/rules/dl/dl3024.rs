//! DL3024: two stages have one name.

use std::collections::HashSet;

use corten_diagnostic::{RuleId, Severity};

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3024"),
    name: "unique-stages",
    severity: Severity::Error,
    what: "Two stages have one name.",
    why: "Whoever names it gets the last one so far: not what a reader expects.",
    bad: "FROM debian:12 AS build\n\
          FROM debian:13 AS build\n",
    good: "FROM debian:12 AS build\n\
          FROM debian:13 AS final\n",
    aliases: &["DuplicateStageName"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut names: HashSet<&str> = HashSet::new();
    for stage in &lint.stages {
        let (Some(name), Some(step)) = (&stage.name, lint.steps.get(stage.from)) else { continue };
        if !names.insert(&name.text) {
            let message = format!("there is a stage {} already", name.text);
            tell(lint, found, step, step.word(name), message, "give it a name of its own", None);
        }
    }
}
