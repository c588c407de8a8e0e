//! ML201: requirements that any later version fulfils.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML201"),
    name: "requirement-unpinned",
    severity: Severity::Warning,
    what: "A file of requirements that the image is made of names a package without its version.",
    why: "Each build takes what is newest then: the same commit makes another image tomorrow, and nobody sees why.",
    bad: "unpinned = ['numpy>=2']",
    good: "unpinned = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for package in &input.project.unpinned {
        let message = format!("'{}' names no version", package.package);
        found.add(place(package.at.as_ref()), message, "lock it: `corten lock` makes pylock.toml, with hashes");
    }
}
