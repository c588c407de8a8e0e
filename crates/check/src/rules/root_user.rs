//! ML151: the service is root.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML151"),
    name: "root-user",
    severity: Severity::Warning,
    what: "The container starts as root.",
    why: "Whoever breaks into the service is root in the container, and one mistake of the kernel away from the host. Many clusters refuse such images.",
    bad: "user = '0:0'",
    good: "user = '10001:10001'",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    if is_root(&input.config.user) {
        found.add(place(input.settings.as_ref()), "the service runs as root", "name another user, by its number");
    }
}

/// Nothing written means root.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name.is_empty() || name == "root" || name.bytes().all(|byte| byte == b'0')
}
