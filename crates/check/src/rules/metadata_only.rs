//! ML129: bytes that an image has twice because only their mode or owner changed.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, amount, place};
use crate::CheckInput;

/// Fewer bytes are not worth a word.
const LEAST: u64 = 1_000_000;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML129"),
    name: "metadata-only",
    severity: Severity::Warning,
    what: "A command of the Dockerfile changes mode or owner of files that lie in layers below.",
    why: "A layer holds whole files: each of them is pushed, pulled and stored twice.",
    bad: "steps = [{ name = '[2/2] RUN chown -R app /models', doubled = [2, 5000000] }]",
    good: "steps = [{ name = '[2/2] RUN chown -R app /home/app', doubled = [3, 5000] }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for step in input.steps {
        let (files, bytes) = step.doubled;
        if bytes < LEAST {
            continue;
        }
        let files = if files == 1 { "one file".to_owned() } else { format!("{files} files") };
        found.add(
            place(step.at.as_ref()),
            format!("{}: it changes mode or owner of {files} and nothing else of them; its layer has their {} once more", step.name, amount(bytes)),
            "give them both where they come from: COPY --chown=USER --chmod=MODE (RUN useradd goes before it), or chown in the RUN that makes them",
        );
    }
}
