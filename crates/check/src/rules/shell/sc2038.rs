//! SC2038: names that find prints are read by xargs, with blanks between them.

use corten_diagnostic::{RuleId, Severity};

use super::{first, has_letter, pipes, scripts};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Simple, Word};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2038"),
    name: "find-xargs",
    severity: Severity::Warning,
    what: "Names that find prints are read by xargs, with blanks between them.",
    why: "A name with a blank or a quote in it becomes several.",
    bad: "FROM debian:12\n\
          RUN find /opt -name '*.pyc' | xargs rm\n",
    good: "FROM debian:12\n\
          RUN find /opt -name '*.pyc' -print0 | xargs -0 rm\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        pipes(script, &mut |one, next| {
            let is = first(one).as_deref() == Some("find") && first(next).as_deref() == Some("xargs");
            if is && !is_separated(one) && !is_separated(next) {
                let help = "write find … -print0 | xargs -0 …, or find … -exec … {} +";
                found.add(lint.place(one.at.clone()), "names with blanks become several", help);
            }
        });
    }
}

fn is_separated(simple: &Simple) -> bool {
    let long = |word: &Word| {
        let start = word.known_start();
        let name = start.trim_start_matches('-');
        ["null", "print0", "printf"].iter().any(|option| name.starts_with(option))
    };
    has_letter(simple, '0') || simple.arguments().iter().any(long)
}
