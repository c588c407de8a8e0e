//! ML204: packages that have no wheel.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML204"),
    name: "built-from-source",
    severity: Severity::Info,
    what: "A package has no wheel for the image, and is built from its source distribution.",
    why: "Its build runs code of strangers and needs compilers and minutes, each time that a cache is empty.",
    bad: "sdists = ['pyicu 2.14']",
    good: "sdists = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for package in &input.project.sdists {
        let why = if package.why.is_empty() { String::new() } else { format!(" ({})", package.why) };
        let message = format!("{} is built from its source distribution{why}", package.package);
        found.add(
            place(package.at.as_ref()),
            message,
            "another version, or another Python, may have a wheel: `corten plan` says which",
        );
    }
}
