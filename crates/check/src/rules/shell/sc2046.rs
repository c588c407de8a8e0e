//! SC2046: what a command prints is cut at its blanks.

use corten_diagnostic::{RuleId, Severity};

use super::{around, first, scripts, split_words};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{CommandKind, List, PartKind, Quote};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2046"),
    name: "unquoted-substitution",
    severity: Severity::Warning,
    what: "What a command prints is cut at its blanks.",
    why: "Each piece becomes an argument of its own, and one with a * in it becomes names of files.",
    bad: "FROM debian:12\n\
          RUN apt-get install -y linux-headers-$(uname -r)\n",
    good: "FROM debian:12\n\
          RUN apt-get install -y \"linux-headers-$(uname -r)\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        split_words(script, &mut |word| {
            for part in word.parts.iter().filter(|part| part.quote == Quote::Bare) {
                let PartKind::Substitution { list, .. } = &part.kind else { continue };
                if list.items.is_empty() || is_meant_to_split(list) {
                    continue;
                }
                let message = "what this prints is cut at its blanks";
                found.fixed(lint.place(part.at.clone()), message, "put it in double quotes", around(lint, part));
            }
        });
    }
}

/// `seq` and `pgrep` print lists of numbers.
fn is_meant_to_split(list: &List) -> bool {
    let [item] = list.items.as_slice() else { return false };
    let [command] = item.pipeline.commands.as_slice() else { return false };
    matches!(&command.kind, CommandKind::Simple(simple) if matches!(first(simple).as_deref(), Some("seq" | "pgrep")))
}
