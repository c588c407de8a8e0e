//! SC2038: names that find prints are read by xargs, with blanks between them.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::{first, has_letter, pipes, scripts};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
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
                let fix = separated(lint, one, next);
                found.fixed(lint.place(one.at.clone()), "names with blanks become several", help, fix);
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

/// Zero bytes between the names, where find does nothing but print what it was told to look for.
fn separated(lint: &Lint<'_>, find: &Simple, xargs: &Simple) -> Option<Fix> {
    let acts = |word: &Word| {
        let word = word.known_start();
        ["-print", "-exec", "-ok", "-delete", "-ls", "-fprint", "-fls", "-quit", "-o", ",", "-prune"]
            .iter()
            .any(|action| word.starts_with(action))
    };
    if find.arguments().iter().any(acts) || ['d', 'a', 'E', 'e'].iter().any(|letter| has_letter(xargs, *letter)) {
        return None;
    }
    let (last, program) = (find.words.last()?.at.end, xargs.words.first()?.at.end);
    let edits = vec![lint.edit(last..last, " -print0"), lint.edit(program..program, " -0")];
    unsafe_fix("end each name with a zero byte", edits)
}
