//! ML187: a version that its authors have taken back.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML187"),
    name: "yanked-version",
    severity: Severity::Warning,
    what: "The index has withdrawn a locked version.",
    why: "Versions are yanked because they are broken or unsafe; an index keeps them only for those who have locked them already.",
    bad: "yanked = ['pypdfium2 4.30.1']",
    good: "yanked = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for package in input.lock.iter().flat_map(|lock| &lock.yanked) {
        let why = if package.why.is_empty() { String::new() } else { format!(": {}", package.why) };
        let name = package.package.split(' ').next().unwrap_or_default();
        let message = format!("{} has been withdrawn{why}", package.package);
        found.add(
            place(package.at.as_ref()),
            message,
            format!("take another version, for instance with 'uv lock --upgrade-package {name}'"),
        );
    }
}
