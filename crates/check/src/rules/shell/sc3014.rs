//! SC3014: a test compares with ==, in a script for sh.

use corten_diagnostic::{RuleId, Severity};

use super::{first, scripts};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{CommandKind, Dialect, Visited};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC3014"),
    name: "double-equals",
    severity: Severity::Warning,
    what: "A test compares with ==, in a script for sh.",
    why: "The sh of Debian and Ubuntu is dash, which knows = alone: the test fails with an error.",
    bad: "FROM debian:12\n\
          RUN if [ \"$A\" == b ]; then echo a; fi\n",
    good: "FROM debian:12\n\
          RUN if [ \"$A\" = b ]; then echo a; fi\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint).filter(|(_, script)| matches!(script.dialect, Dialect::Sh | Dialect::Dash)) {
        script.visit(&mut |visited, context| {
            let words = match visited {
                _ if context.inner => return,
                Visited::Simple(simple) if matches!(first(simple).as_deref(), Some("[" | "test")) => simple.arguments(),
                Visited::Command(command) => match &command.kind {
                    CommandKind::Test(words) => words,
                    _ => return,
                },
                _ => return,
            };
            for word in words.iter().filter(|word| word.raw == "==") {
                let fix = safe("write =", vec![lint.edit(word.at.clone(), "=")]);
                found.fixed(lint.place(word.at.clone()), "sh compares with =", "write =", fix);
            }
        });
    }
}
