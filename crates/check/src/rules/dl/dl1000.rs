//! DL1000: what could not be read.

use corten_diagnostic::{Diagnose, Place, RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("DL1000"),
    name: "unreadable",
    severity: Severity::Error,
    what: "A line of the Dockerfile cannot be read.",
    why: "The build would stop there. Other rules look at what could be read.",
    bad: "FROM debian:12\nCOPPY a /a\n",
    good: "FROM debian:12\nCOPY a /a\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for mistake in lint.mistakes {
        let at = mistake.span().map_or_else(|| lint.place(0..0), |span| Place::Text(span.clone()));
        found.add(at, mistake.to_string(), mistake.hints().join("; "));
    }
}
