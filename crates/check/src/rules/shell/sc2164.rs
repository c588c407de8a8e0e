//! SC2164: whether cd works is not looked at.

use std::ops::Range;

use corten_diagnostic::{RuleId, Severity};

use super::{first, has_letter, lists, scripts, sets, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::{Joint, Script, Simple};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2164"),
    name: "unchecked-cd",
    severity: Severity::Warning,
    what: "Whether cd works is not looked at.",
    why: "Where it does not, what follows is done in another folder: rm, too.",
    bad: "FROM debian:12\n\
          RUN cd /src; make\n",
    good: "FROM debian:12\n\
          RUN cd /src && make\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        if sets(script, 'e', "errexit") {
            continue;
        }
        let looked_at = looked_at(script);
        simples(script, &mut |simple| {
            let outer = looked_at.partition_point(|range| range.start <= simple.at.start).checked_sub(1);
            let safe = outer.and_then(|at| looked_at.get(at)).is_some_and(|range| simple.at.start < range.end);
            if changes_folder(simple) && !safe {
                let message = "where this fails, what follows runs in another folder";
                let fix = ends_here(lint, simple.at.end)
                    .then(|| unsafe_fix("end there", vec![lint.edit(simple.at.end..simple.at.end, " || exit 1")]));
                let help = "write cd … && …, or cd … || exit 1";
                found.fixed(lint.place(simple.at.clone()), message, help, fix.flatten());
            }
        });
    }
}

/// Where the status counts: before `&&` and `||`, and the last command of a condition; what is in it, too. None overlaps another.
fn looked_at(script: &Script) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    lists(script, &mut |list, condition| {
        for (at, item) in list.items.iter().enumerate() {
            let next = list.items.get(at + 1);
            if next.map_or(condition, |next| matches!(next.joint, Joint::And | Joint::Or)) {
                all.push(item.pipeline.at.clone());
            }
        }
    });
    all.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    all.retain(|range| {
        let outer = range.end > end;
        end = end.max(range.end);
        outer
    });
    all
}

/// `cd ..` and the like cannot fail.
fn changes_folder(simple: &Simple) -> bool {
    let name = first(simple);
    let stack = matches!(name.as_deref(), Some("pushd" | "popd")) && !has_letter(simple, 'n');
    let safe = match simple.arguments() {
        [one] => one.literal().is_some_and(|path| path.split('/').all(|part| matches!(part, "" | "." | ".."))),
        _ => false,
    };
    (name.as_deref() == Some("cd") || stack) && !safe
}

/// Does a command end at a place, so that `||` may follow?
fn ends_here(lint: &Lint<'_>, at: usize) -> bool {
    let rest = lint.file.text().get(at..).unwrap_or_default().trim_start_matches([' ', '\t']);
    rest.starts_with([';', '\n', ')']) && !rest.starts_with(";;")
}
