//! SC3037: options are given to echo, in a script for sh.

use corten_diagnostic::{RuleId, Severity};

use super::{scripts, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Dialect;

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC3037"),
    name: "echo-flags",
    severity: Severity::Warning,
    what: "Options are given to echo, in a script for sh.",
    why: "The sh of Debian and Ubuntu is dash, which writes -e as it is; others do not. printf does the same everywhere.",
    bad: "FROM debian:12\n\
          RUN echo -e \"a\\nb\" > /etc/app.conf\n",
    good: "FROM debian:12\n\
          RUN printf 'a\\nb\\n' > /etc/app.conf\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint).filter(|(_, script)| script.dialect == Dialect::Sh) {
        simples(script, &mut |simple| {
            let Some(word) = simple.arguments().first().filter(|_| simple.name().as_deref() == Some("echo")) else {
                return;
            };
            let flags = word.literal().and_then(|text| Some(text.strip_prefix('-')?.to_owned()));
            if flags.is_some_and(|flags| !flags.is_empty() && flags.chars().all(|letter| "eEsn".contains(letter))) {
                found.add(lint.place(word.at.clone()), "options of echo differ from shell to shell", "write printf");
            }
        });
    }
}
