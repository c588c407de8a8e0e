//! DL3058: the value of a label is no address of e-mail.

use corten_diagnostic::{RuleId, Severity};

use super::{label_rule, values};
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3058"),
    name: "label-mail",
    severity: Severity::Warning,
    what: "The value of a label is no address of e-mail.",
    why: "The settings say that it is one; people write to it.",
    bad: "# settings: labels = { contact = \"email\" }\n\
          FROM debian:12\n\
          LABEL contact=\"not-an-address\"\n",
    good: "# settings: labels = { contact = \"email\" }\n\
          FROM debian:12\n\
          LABEL contact=\"me@example.com\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| {
        (kind == LabelKind::Email && !values::is_address(value)).then_some("is no address of e-mail")
    });
}
