//! DL3000: a WORKDIR is relative.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{is_absolute, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3000"),
    name: "absolute-workdir",
    severity: Severity::Error,
    what: "A WORKDIR is relative.",
    why: "Where it leads depends on the WORKDIR before it, also on the one of the base image, which may change.",
    bad: "FROM debian:12\n\
          WORKDIR app\n",
    good: "FROM debian:12\n\
          WORKDIR /app\n",
    aliases: &["WorkdirRelativePath"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Some(Command::Workdir(folder)) = &step.command else { continue };
        let path = unquoted(&folder.text);
        if path.starts_with('$') || is_absolute(path) {
            continue;
        }
        let at = step.word(folder);
        let quote = usize::from(folder.text.starts_with(['"', '\'']));
        let fix = unsafe_fix("begin it with /", vec![lint.edit(at.start + quote..at.start + quote, "/")]);
        let message = format!("WORKDIR {path} is relative to the one before it");
        tell(lint, found, step, at, message, "write the path from / on", fix);
    }
}
