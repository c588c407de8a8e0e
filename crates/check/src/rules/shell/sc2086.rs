//! SC2086: a variable that the shell cuts at its blanks.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{Part, PartKind, Quote, Role, Variable, Visited};

pub(super) const RULE: Rule = Rule {
    id: RuleId("SC2086"),
    name: "unquoted-variable",
    severity: Severity::Info,
    what: "A variable stands without quotes among the arguments of a command.",
    why: "The shell cuts its value at blanks and replaces * and ? by names of files: the command gets other arguments than were meant.",
    bad: "FROM debian:12\nARG FILE\nRUN rm -f $FILE\n",
    good: "FROM debian:12\nARG FILE\nRUN rm -f \"$FILE\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Their values have no blanks.
const NUMBERS: [&str; 4] = ["?", "#", "$", "!"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in lint.scripts() {
        script.visit(&mut |visited, _| {
            let Visited::Word(word, Role::Argument | Role::Target) = visited else { return };
            for (variable, part) in word.variables().filter(|(variable, part)| is_cut(variable, part)) {
                let name = lint.text(part.at.clone());
                let edits = vec![lint.edit(part.at.clone(), format!("\"{name}\""))];
                found.fixed(
                    lint.place(part.at.clone()),
                    format!("{} stands without quotes: its value is cut at blanks", shown(variable)),
                    "put it in double quotes",
                    safe("put it in double quotes", edits),
                );
            }
        });
    }
}

fn is_cut(variable: &Variable, part: &Part) -> bool {
    let is_number = variable.length || NUMBERS.contains(&variable.name.as_str());
    part.quote == Quote::Bare && matches!(part.kind, PartKind::Variable(_)) && !is_number
}

fn shown(variable: &Variable) -> String {
    if variable.braces { format!("${{{}}}", variable.name) } else { format!("${}", variable.name) }
}
