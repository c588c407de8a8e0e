//! SC2012: what ls prints is read by another command.

use corten_diagnostic::{RuleId, Severity};

use super::{first, has_letter, pipes, scripts};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2012"),
    name: "ls-in-pipe",
    severity: Severity::Info,
    what: "What ls prints is read by another command.",
    why: "For people is what ls prints: names with blanks or line ends fall apart.",
    bad: "FROM debian:12\n\
          RUN ls /opt | head -1\n",
    good: "FROM debian:12\n\
          RUN find /opt -maxdepth 1 | head -1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        pipes(script, &mut |one, next| {
            // With grep and xargs behind it ShellCheck has other numbers.
            let other = matches!(first(next).as_deref(), Some("grep" | "xargs"));
            if first(one).as_deref() == Some("ls") && !other && !has_letter(one, 'N') {
                let help = "take a pattern (/opt/*), or find";
                found.add(lint.place(one.at.clone()), "ls prints for people, not for programs", help);
            }
        });
    }
}
