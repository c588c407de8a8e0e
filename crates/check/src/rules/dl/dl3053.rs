//! DL3053: the value of a label is no time of RFC 3339.

use corten_diagnostic::{RuleId, Severity};

use super::{label_rule, values};
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3053"),
    name: "label-time",
    severity: Severity::Warning,
    what: "The value of a label is no time of RFC 3339.",
    why: "The settings say that it is one; tools sort by it.",
    bad: "# settings: labels = { created = \"rfc3339\" }\n\
          FROM debian:12\n\
          LABEL created=\"yesterday\"\n",
    good: "# settings: labels = { created = \"rfc3339\" }\n\
          FROM debian:12\n\
          LABEL created=\"2026-01-31T12:00:00Z\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| {
        (kind == LabelKind::Rfc3339 && !values::is_time(value)).then_some("is no time as 2026-01-31T12:00:00Z")
    });
}
