//! DL3051: a label that the settings ask for is empty.

use corten_diagnostic::{RuleId, Severity};

use super::label_rule;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3051"),
    name: "label-empty",
    severity: Severity::Warning,
    what: "A label that the settings ask for is empty.",
    why: "It says nothing.",
    bad: "# settings: labels = { maintainer = \"text\" }\n\
          FROM debian:12\n\
          LABEL maintainer=\"\"\n",
    good: "# settings: labels = { maintainer = \"text\" }\n\
          FROM debian:12\n\
          LABEL maintainer=\"me@example.com\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |_, value| value.is_empty().then_some("is empty"));
}
