//! MultipleInstructionsDisallowed: CMD, ENTRYPOINT or HEALTHCHECK twice in a stage.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("MultipleInstructionsDisallowed"),
    name: "multiple-instructions-disallowed",
    severity: Severity::Warning,
    what: "Multiple instructions of the same type should not be used in the same stage.",
    why: "Only the last counts. Whoever reads or changes the earlier one is led astray.",
    bad: "FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\n",
    good: "FROM scratch\nCMD [\"b\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed && line.seen.replaced_by.is_some()) {
        let name = &line.instruction.name;
        let message = format!(
            "Multiple {} instructions should not be used in the same stage because only the last one will be used",
            name.text
        );
        let fix = safe("take it out", vec![line.removal()]);
        found.fixed(line.at(name), message, "take it out", fix);
    }
}
