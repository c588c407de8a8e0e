//! ML185: lock and manifest tell different stories.

use std::path::PathBuf;

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML185"),
    name: "lock-out-of-step",
    severity: Severity::Warning,
    what: "The lock was made from another pyproject.toml than the one that lies beside it.",
    why: "The image would get the packages of yesterday's dependencies, and start with an ImportError or an old bug.",
    bad: "out-of-step = ['httpx is a dependency that the lock does not know']",
    good: "out-of-step = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for lock in input.lock.iter().filter(|lock| !lock.out_of_step.is_empty()) {
        let message = format!("{} is out of step with pyproject.toml: {}", lock.name, lock.out_of_step.join("; "));
        let lock_itself = || Place::Source(PathBuf::from(&lock.name));
        found.add(
            lock.differs_at.clone().map_or_else(lock_itself, Place::Text),
            message,
            "lock again, for instance with 'uv lock', and commit the lock",
        );
    }
}
