//! DL3023: COPY --from names its own stage.

use corten_diagnostic::{RuleId, Severity};

use super::{copies_from, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3023"),
    name: "copy-from-itself",
    severity: Severity::Error,
    what: "COPY --from names its own stage.",
    why: "A stage cannot copy from itself: the build fails.",
    bad: "FROM debian:12 AS build\n\
          COPY --from=build /a /b\n",
    good: "FROM debian:12 AS build\n\
          FROM debian:12\n\
          COPY --from=build /a /b\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, from) in copies_from(lint) {
        let own = lint.stage_of(step).and_then(|stage| stage.name.as_ref());
        if own.is_some_and(|own| own.text.eq_ignore_ascii_case(&from.text)) {
            let message = format!("{} is the stage that this stands in", from.text);
            tell(lint, found, step, step.word(from), message, "name another stage", None);
        }
    }
}
