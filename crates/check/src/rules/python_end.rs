//! ML202: a Python that gets no more security fixes.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML202"),
    name: "python-end-of-life",
    severity: Severity::Warning,
    what: "The image's Python is past its end of life, and no distribution looks after it.",
    why: "Holes that are found from then on stay open. Packages stop making wheels for it, too.",
    bad: "python = '3.9 until 2025-10-31'",
    good: "python = ''",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    if let Some(python) = &input.project.python_ended {
        let message = format!("Python {} has had its last security fix ({})", python.version, python.ended);
        found.add(
            place(python.at.as_ref()),
            message,
            "take a later Python: most packages have wheels for 3.11 to 3.13",
        );
    }
}
