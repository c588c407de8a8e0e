//! DL4001: a stage uses both wget and curl.

use corten_diagnostic::{RuleId, Severity};

use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4001"),
    name: "wget-and-curl",
    severity: Severity::Warning,
    what: "A stage uses both wget and curl.",
    why: "One of them does: the other is a package more, with its updates and its faults.",
    bad: "FROM debian:12\n\
          RUN wget -q https://example.com/a\n\
          RUN curl -fsSLO https://example.com/b\n",
    good: "FROM debian:12\n\
          RUN curl -fsSLO https://example.com/a\n\
          RUN curl -fsSLO https://example.com/b\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for triggers in [false, true] {
        look(lint, found, triggers);
    }
}

/// What triggers run, others run: each is looked at alone.
fn look(lint: &Lint<'_>, found: &mut Found, triggers: bool) {
    let (mut stage, mut used) = (None, [false; 2]);
    each_run(lint, |step, ran| {
        if step.is_trigger() != triggers {
            return;
        }
        if step.stage != stage && !triggers {
            (stage, used) = (step.stage, [false; 2]);
        }
        let own = [ran.command("wget"), ran.command("curl")];
        for (used, own) in used.iter_mut().zip(own) {
            *used |= own.is_some();
        }
        if let (Some(command), [true, true]) = (own[0].or(own[1]), used) {
            let message = "this stage uses wget and curl";
            tell(lint, found, step, command.at.clone(), message, "use one of them", None);
        }
    });
}
