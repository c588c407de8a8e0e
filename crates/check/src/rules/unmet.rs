//! ML190: a package without one that it needs.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML190"),
    name: "requirement-unmet",
    severity: Severity::Warning,
    what: "An installed package requires another that is absent, or there in another version.",
    why: "The lock says what is installed, the packages say what they need; where overrides or an edited lock make the two \
          differ, an import fails at run time.",
    bad: "unmet = ['anyio']",
    good: "unmet = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for package in input.lock.iter().flat_map(|lock| &lock.unmet) {
        let message = format!("{} {}", package.package, package.why);
        found.add(place(package.at.as_ref()), message, "lock again, or take the override out that causes it");
    }
}
