//! DL3021: COPY has several sources, and a target without a / at its end.

use corten_diagnostic::{RuleId, Severity};

use super::{copies, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3021"),
    name: "copy-into-folder",
    severity: Severity::Error,
    what: "COPY has several sources, and a target without a / at its end.",
    why: "Several files need a folder: builders refuse it, or guess.",
    bad: "FROM debian:12\n\
          COPY a.py b.py /app\n",
    good: "FROM debian:12\n\
          COPY a.py b.py /app/\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, copy) in copies(lint) {
        let target = &copy.destination;
        if copy.sources.len() < 2 || unquoted(&target.text).ends_with('/') {
            continue;
        }
        let at = step.word(target);
        let plain = lint.text(at.clone()) == target.text && !target.text.ends_with(['"', '\'']);
        let fix = plain.then(|| safe("end it with /", vec![lint.edit(at.end..at.end, "/")])).flatten();
        let message =
            format!("{} files go to {}, which does not say that it is a folder", copy.sources.len(), target.text);
        let marked = if plain { at } else { step.name() };
        tell(lint, found, step, marked, message, "end the target with /", fix);
    }
}
