//! DL4003: a stage has several CMDs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;

use super::last_counts;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4003"),
    name: "one-cmd",
    severity: Severity::Warning,
    what: "A stage has several CMDs.",
    why: "Only the last one counts; the others mislead.",
    bad: "FROM debian:12\n\
          CMD [\"true\"]\n\
          CMD [\"python\", \"app.py\"]\n",
    good: "FROM debian:12\n\
          CMD [\"python\", \"app.py\"]\n",
    aliases: &["MultipleInstructionsDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    last_counts(lint, found, Keyword::Cmd, "keep the last one", safe);
}
