//! DL3056: the value of a label is no semantic version.

use corten_diagnostic::{RuleId, Severity};

use super::{label_rule, values};
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3056"),
    name: "label-version",
    severity: Severity::Warning,
    what: "The value of a label is no semantic version.",
    why: "The settings say that it is one; tools compare by it.",
    bad: "# settings: labels = { version = \"semver\" }\n\
          FROM debian:12\n\
          LABEL version=\"1.0\"\n",
    good: "# settings: labels = { version = \"semver\" }\n\
          FROM debian:12\n\
          LABEL version=\"1.0.0\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| {
        (kind == LabelKind::SemVer && !values::is_version(value)).then_some("is no version as 1.0.0")
    });
}
