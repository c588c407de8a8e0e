//! SC2155: a variable is declared and given what a command prints, at once.

use corten_diagnostic::{RuleId, Severity};

use super::{assigned, declares, scripts, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Part, PartKind, Word};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2155"),
    name: "masked-status",
    severity: Severity::Warning,
    what: "A variable is declared and given what a command prints, at once.",
    why: "The status is that of export or local then: a command that fails goes unseen, also with set -e.",
    bad: "FROM debian:12\n\
          RUN export VERSION=\"$(cat /version)\" && echo \"$VERSION\"\n",
    good: "FROM debian:12\n\
          RUN VERSION=\"$(cat /version)\" && export VERSION && echo \"$VERSION\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        simples(script, &mut |simple| {
            if !declares(simple) {
                return;
            }
            let runs = |word: &&Word| {
                let runs = |part: &Part| matches!(part.kind, PartKind::Substitution { .. });
                assigned(word).is_some() && word.parts.iter().any(runs)
            };
            for word in simple.arguments().iter().filter(runs) {
                let message = "whether this command fails goes unseen";
                found.add(lint.place(word.at.clone()), message, "assign first, declare behind");
            }
        });
    }
}
