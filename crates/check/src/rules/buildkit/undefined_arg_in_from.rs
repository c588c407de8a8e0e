//! UndefinedArgInFrom: FROM names an argument that nothing declares.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("UndefinedArgInFrom"),
    name: "undefined-arg-in-from",
    severity: Severity::Warning,
    what: "FROM command must use declared ARGs.",
    why: "FROM knows arguments before the first FROM, and those of the platform. Anything else is empty: the name of the image is another than it seems.",
    bad: "ARG VERSION=3.12\nFROM python:${VERSIONS}slim\n",
    good: "ARG VERSION=3.12\nFROM python:${VERSION}-slim\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        for unset in line.seen.from.iter().flat_map(|from| &from.undeclared) {
            let mut message = format!("FROM argument '{}' is not declared", unset.name);
            if let Some(near) = &unset.near {
                message.push_str(&format!(" (did you mean {near}?)"));
            }
            let help = format!("declare it before the first FROM: ARG {}=…", unset.name);
            found.fixed(line.at(&unset.word), message, help, line.renamed(unset));
        }
    }
}
