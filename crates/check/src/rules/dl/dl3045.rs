//! DL3045: COPY goes to a relative path, and no WORKDIR says from where.

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::{Command, Word};

use super::{Inherited, is_absolute, tell, unquoted};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

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
                    tell(
                        lint,
                        found,
                        step,
                        step.word(&copy.destination),
                        message,
                        help,
                        from_root(lint, step, &copy.destination),
                    );
                }
            }
            _ => {}
        }
    }
}

/// The path from / on, where most images stand: of the base somebody else knows better.
fn from_root(lint: &Lint<'_>, step: &Step<'_>, destination: &Word) -> Option<Fix> {
    let at = step.word(destination);
    let is_as_written = lint.text(at.clone()) == destination.text && !destination.text.starts_with(['"', '\'']);
    let below = destination.text.trim_start_matches("./");
    let path = format!("/{}", below.strip_prefix('.').filter(|rest| rest.is_empty()).unwrap_or(below));
    let is_inside = !below.split('/').any(|part| part == "..");
    (is_as_written && is_inside).then(|| unsafe_fix("begin it with /", vec![lint.edit(at, path)])).flatten()
}
