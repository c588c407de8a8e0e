//! ML152: a user by name, who might be anybody.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML152"),
    name: "user-not-numeric",
    severity: Severity::Warning,
    what: "The user is given by name, not by number.",
    why: "Kubernetes cannot tell whether a name is root: with runAsNonRoot it refuses to start such an image.",
    bad: "user = 'app'",
    good: "user = '10001:10001'",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let user = &input.config.user;
    let numeric = user.split(':').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let root = user.is_empty() || user.split(':').next() == Some("root");
    if !numeric && !root {
        found.add(
            place(input.settings.as_ref()),
            format!("user '{user}' is not a number"),
            "write its number, as in 10001:10001",
        );
    }
}
