//! DL3054: the value of a label is no SPDX identifier of a licence.

use corten_diagnostic::{RuleId, Severity};

use super::{label_rule, values};
use crate::lint::{LabelKind, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3054"),
    name: "label-licence",
    severity: Severity::Warning,
    what: "The value of a label is no SPDX identifier of a licence.",
    why: "The settings say that it is one; whoever checks licences reads it.",
    bad: "# settings: labels = { license = \"spdx\" }\n\
          FROM debian:12\n\
          LABEL license=\"not-a-licence\"\n",
    good: "# settings: labels = { license = \"spdx\" }\n\
          FROM debian:12\n\
          LABEL license=\"Apache-2.0\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    label_rule(lint, found, |kind, value| {
        (kind == LabelKind::Spdx && !values::is_licence(value)).then_some("is no SPDX identifier of a licence")
    });
}
