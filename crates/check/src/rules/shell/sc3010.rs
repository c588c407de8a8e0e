//! SC3010: a test in double brackets, in a script for sh.

use corten_diagnostic::{RuleId, Severity};

use super::scripts;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{CommandKind, Dialect, Visited};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC3010"),
    name: "double-brackets",
    severity: Severity::Warning,
    what: "A test in double brackets, in a script for sh.",
    why: "The sh of Debian and Ubuntu is dash, which has no [[: it is a command that is not found, and the test is false.",
    bad: "FROM debian:12\n\
          RUN if [[ -f /a ]]; then echo a; fi\n",
    good: "FROM debian:12\n\
          RUN if [ -f /a ]; then echo a; fi\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint).filter(|(_, script)| matches!(script.dialect, Dialect::Sh | Dialect::Dash)) {
        script.visit(&mut |visited, context| {
            if let (Visited::Command(command), false) = (visited, context.inner)
                && let CommandKind::Test(_) = command.kind
            {
                let message = "sh has no [[ ]]";
                let help = "write [ ], or SHELL [\"/bin/bash\", \"-c\"]";
                found.add(lint.place(command.at.clone()), message, help);
            }
        });
    }
}
