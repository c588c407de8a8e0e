//! DL3045: cOPY goes to a relative path, and no WORKDIR says from where.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{Inherited, is_absolute, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3045"),
    name: "copy-without-workdir",
    severity: Severity::Warning,
    what: "COPY goes to a relative path, and no WORKDIR says from where.",
    why: "It lands where the base image happens to stand, in / or elsewhere, which may change.",
    bad: "FROM debian:12\n\
          COPY app.py app/\n",
    good: "FROM debian:12\n\
          WORKDIR /srv\n\
          COPY app.py app/\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut folder = Inherited::default();
    for step in &lint.steps {
        match &step.command {
            Some(Command::From(_)) => folder.enter(lint, step),
            Some(Command::Workdir(_)) => folder.set(),
            Some(Command::Copy(copy)) if !copy.add && !folder.is_set() => {
                let target = unquoted(&copy.destination.text);
                if !is_absolute(target) && !target.starts_with('$') {
                    let message = format!("COPY to {target}, and no WORKDIR says from where");
                    let help = "write WORKDIR before it, or the path from / on";
                    tell(lint, found, step, step.word(&copy.destination), message, help, None);
                }
            }
            _ => {}
        }
    }
}
