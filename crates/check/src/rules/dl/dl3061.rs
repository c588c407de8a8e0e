//! DL3061: an instruction stands before the first FROM.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3061"),
    name: "from-first",
    severity: Severity::Error,
    what: "An instruction stands before the first FROM.",
    why: "Only ARG may stand there: anything else has no image to work on.",
    bad: "RUN true\n\
          FROM debian:12\n",
    good: "ARG VERSION=12\n\
          FROM debian:$VERSION\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in lint.steps.iter().take_while(|step| step.instruction.keyword != Keyword::From) {
        if step.instruction.keyword != Keyword::Arg {
            let message = format!("{} before the first FROM", step.instruction.keyword.name());
            tell(lint, found, step, step.name(), message, "begin with FROM, or with ARG", None);
        }
    }
}
