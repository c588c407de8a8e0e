//! DL3055: the value of a label is no commit of git.

use corten_diagnostic::{RuleId, Severity};

use super::label_rule;
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3055"),
    name: "label-commit",
    severity: Severity::Warning,
    what: "The value of a label is no commit of git.",
    why: "The settings say that it is one, in full or its first seven digits; who looks for the source needs it.",
    bad: "# settings: labels = { revision = \"hash\" }\n\
          FROM debian:12\n\
          LABEL revision=\"not-a-commit\"\n",
    good: "# settings: labels = { revision = \"hash\" }\n\
          FROM debian:12\n\
          LABEL revision=\"39cd34e\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| {
        (kind == LabelKind::GitHash && !is_commit(value)).then_some("is no commit of git")
    });
}

fn is_commit(value: &str) -> bool {
    matches!(value.len(), 7 | 40) && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
