//! DL3012: a stage has several HEALTHCHECKs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;

use super::last_counts;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3012"),
    name: "one-healthcheck",
    severity: Severity::Error,
    what: "A stage has several HEALTHCHECKs.",
    why: "Only the last one counts; the others mislead.",
    bad: "FROM debian:12\n\
          HEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost/\"]\n\
          HEALTHCHECK CMD [\"true\"]\n",
    good: "FROM debian:12\n\
          HEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost/\"]\n",
    aliases: &["MultipleInstructionsDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    last_counts(lint, found, Keyword::Healthcheck, "keep the one that is meant", unsafe_fix);
}
