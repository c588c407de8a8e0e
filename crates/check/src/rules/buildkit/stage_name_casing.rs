//! StageNameCasing: a stage's name in capitals.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("StageNameCasing"),
    name: "stage-name-casing",
    severity: Severity::Warning,
    what: "Stage names should be lowercase.",
    why: "Names of stages are the same in any case, so two that differ in capitals alone are one. Small letters let nobody think otherwise, and tell them from instructions.",
    bad: "FROM scratch AS BuildBase\n",
    good: "FROM scratch AS buildbase\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let Some(Command::From(_)) = line.seen.command else { continue };
        let words = line.words();
        let [_, _, name] = words else { continue };
        let small = name.text.to_lowercase();
        if small != name.text {
            let fix = safe("write it in small letters", vec![line.edit(name.range.clone(), &small)]);
            let message = format!("Stage name '{}' should be lowercase", name.text);
            found.fixed(line.at(name), message, format!("write {small}"), fix);
        }
    }
}
