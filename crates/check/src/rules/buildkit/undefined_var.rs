//! UndefinedVar: a variable that has no value.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("UndefinedVar"),
    name: "undefined-var",
    severity: Severity::Warning,
    what: "Variables should be defined before their use.",
    why: "A variable that no ARG or ENV above sets is empty, and nothing says so. Arguments before FROM have to be declared again in each stage. An image may bring variables, too: without its config, only what looks like a slip of the pen is told.",
    bad: "FROM scratch\nARG VERSION=1\nCOPY app-$VERSOIN /app\n",
    good: "FROM scratch\nARG VERSION=1\nCOPY app-$VERSION /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        for unset in &line.seen.unset {
            let mut message = format!("Usage of undefined variable '${}'", unset.name);
            if let Some(near) = &unset.near {
                message.push_str(&format!(" (did you mean ${near}?)"));
            }
            found.fixed(
                line.at(&unset.word),
                message,
                format!("declare it above in this stage: ARG {}", unset.name),
                line.renamed(unset),
            );
        }
    }
}
