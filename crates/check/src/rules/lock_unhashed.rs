//! ML186: a package is locked by name alone.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML186"),
    name: "lock-without-hash",
    severity: Severity::Warning,
    what: "The lock names a package without the hash of its file.",
    why: "Whoever controls the index or the way to it can put another file in its place. Corten records the hash of the first download, but cannot know whether that one was right.",
    bad: "unhashed = ['torch 2.9.1+cpu']",
    good: "unhashed = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for package in input.lock.iter().flat_map(|lock| &lock.unhashed) {
        let message = format!("{} is locked without a hash", package.package);
        found.add(
            place(package.at.as_ref()),
            message,
            "lock with hashes: uv does, and 'pip-compile --generate-hashes'",
        );
    }
}
