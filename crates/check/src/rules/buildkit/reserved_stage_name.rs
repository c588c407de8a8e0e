//! ReservedStageName: a stage with a name that means something else.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ReservedStageName"),
    name: "reserved-stage-name",
    severity: Severity::Warning,
    what: "Reserved words should not be used as stage names.",
    why: "The name `scratch` is the empty image and `context` the folder that is built: a stage of that name stands in front of it.",
    bad: "FROM scratch AS context\n",
    good: "FROM scratch AS files\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let Some(Command::From(from)) = &line.seen.command else { continue };
        if let Some(name) = from.name.as_ref().filter(|name| ["scratch", "context"].contains(&name.text.as_str())) {
            let message = format!("Stage name should not use the same name as reserved stage \"{}\"", name.text);
            found.add(line.at(name), message, "give it another name");
        }
    }
}
