//! ConsistentInstructionCasing: some instructions in small letters, others in capitals.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ConsistentInstructionCasing"),
    name: "consistent-instruction-casing",
    severity: Severity::Warning,
    what: "All commands within the Dockerfile should use the same casing (either upper or lower).",
    why: "Instructions mean the same in any case; one way of writing makes a file easy to read and to search.",
    bad: "FROM scratch\ncopy a /a\nCOPY b /b\n",
    good: "FROM scratch\nCOPY a /a\nCOPY b /b\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Arguments before the first FROM do not count.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let counted = || lines(lint).filter(|line| line.seen.stage.is_some() && line.seen.command.is_some());
    let (mut small, mut large) = (0, 0);
    for line in counted() {
        let name = &line.instruction.name.text;
        small += usize::from(*name == name.to_lowercase());
        large += usize::from(*name == name.to_uppercase());
    }
    for line in counted() {
        let name = &line.instruction.name;
        let (wanted, way) = match small > large {
            true => (name.text.to_lowercase(), "lowercase"),
            false => (name.text.to_uppercase(), "uppercase"),
        };
        if name.text != wanted {
            let fix = safe("write all alike", vec![line.edit(name.range.clone(), &wanted)]);
            let message = format!("Command '{}' should match the case of the command majority ({way})", name.text);
            found.fixed(line.at(name), message, format!("write {wanted}"), fix);
        }
    }
}
