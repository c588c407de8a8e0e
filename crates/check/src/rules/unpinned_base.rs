//! ML102: what the image stands on may be something else tomorrow.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML102"),
    name: "base-unpinned",
    severity: Severity::Info,
    what: "The base is named by a tag, not by content.",
    why: "A tag can be moved; then the same commit gives another image, and nobody knows which one was tested.",
    bad: "base = 'debian:bookworm'",
    good: "base = 'debian:bookworm@sha256:9c1d7bd9'",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    if !input.base.pinned {
        let message = format!("base '{}' is not pinned", input.base.name);
        found.add(
            place(input.base.at.as_ref()),
            message,
            "'corten lock' writes what it is today to corten.lock; commit that file",
        );
    }
}
