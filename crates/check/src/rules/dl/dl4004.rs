//! DL4004: a stage has several ENTRYPOINTs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;

use super::last_counts;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4004"),
    name: "one-entrypoint",
    severity: Severity::Error,
    what: "A stage has several ENTRYPOINTs.",
    why: "Only the last one counts; the others mislead.",
    bad: "FROM debian:12\n\
          ENTRYPOINT [\"true\"]\n\
          ENTRYPOINT [\"python\", \"app.py\"]\n",
    good: "FROM debian:12\n\
          ENTRYPOINT [\"python\", \"app.py\"]\n",
    aliases: &["MultipleInstructionsDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    last_counts(lint, found, Keyword::Entrypoint, "keep the last one", safe);
}
