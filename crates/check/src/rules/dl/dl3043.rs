//! DL3043: ONBUILD holds ONBUILD, FROM or MAINTAINER.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Arguments, Keyword};

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3043"),
    name: "onbuild-of-onbuild",
    severity: Severity::Error,
    what: "ONBUILD holds ONBUILD, FROM or MAINTAINER.",
    why: "Builders refuse it: a trigger can be neither a trigger nor a base.",
    bad: "FROM debian:12\n\
          ONBUILD ONBUILD RUN true\n",
    good: "FROM debian:12\n\
          ONBUILD RUN true\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Arguments::Instruction(inner) = &step.instruction.arguments else { continue };
        if matches!(inner.keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
            let message = format!("{} cannot stand after ONBUILD", inner.keyword.name());
            tell(lint, found, step, step.word(&inner.name), message, "leave it out", None);
        }
    }
}
