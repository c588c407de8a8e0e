//! ML125: nothing says which packages belong into the image.

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML125"),
    name: "no-lock",
    severity: Severity::Warning,
    what: "There is no lock of the Python packages.",
    why: "Without exact versions and hashes every build may install something else, also something harmful.",
    bad: "lock = false",
    good: "lock = true",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    if input.lock.is_none() {
        found.add(
            Place::Plan,
            "the project's packages are not locked",
            "make a lock, for instance with 'uv lock', and commit it",
        );
    }
}
