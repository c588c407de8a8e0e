//! DuplicateStageName: two stages of one name.

use std::collections::BTreeSet;

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("DuplicateStageName"),
    name: "duplicate-stage-name",
    severity: Severity::Warning,
    what: "Stage names should be unique.",
    why: "Of two stages with one name, those that follow mean the later; the earlier cannot be reached by its name any more, nor by --target.",
    bad: "FROM scratch AS base\nFROM scratch AS base\n",
    good: "FROM scratch AS base\nFROM scratch AS other\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut seen = BTreeSet::new();
    for line in lines(lint) {
        let Some(Command::From(from)) = &line.seen.command else { continue };
        let Some(name) = &from.name else { continue };
        if !seen.insert(name.text.clone()) {
            let message = format!("Duplicate stage name \"{}\", stage names should be unique", name.text);
            found.add(line.at(name), message, "give one of them another name");
        }
    }
}
