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
          differ, an import fails at run time. So it does where a requirements.txt has the packages that the code imports \
          and not those that they need in turn: nothing is added to it; `mv requirements.txt requirements.in && corten lock` \
          writes pylock.toml with all of them.",
    bad: "unmet = ['anyio']",
    good: "unmet = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let Some(lock) = &input.lock else { return };
    let help = lock.completed_by.as_deref().unwrap_or("lock again, or take the override out that causes it");
    for package in &lock.unmet {
        found.add(place(package.at.as_ref()), format!("{} {}", package.package, package.why), help);
    }
}
