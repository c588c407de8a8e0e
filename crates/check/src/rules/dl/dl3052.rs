//! DL3052: the value of a label is no URL.

use corten_diagnostic::{RuleId, Severity};

use super::{label_rule, values};
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3052"),
    name: "label-url",
    severity: Severity::Warning,
    what: "The value of a label is no URL.",
    why: "The settings say that it is one; tools make links of it.",
    bad: "# settings: labels = { url = \"url\" }\n\
          FROM debian:12\n\
          LABEL url=\"not-a-url\"\n",
    good: "# settings: labels = { url = \"url\" }\n\
          FROM debian:12\n\
          LABEL url=\"https://example.com/app\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| (kind == LabelKind::Url && !values::is_url(value)).then_some("is no URL"));
}
