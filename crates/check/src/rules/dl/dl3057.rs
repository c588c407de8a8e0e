//! DL3057: a stage has no HEALTHCHECK.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::{Base, Lint, Stage};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3057"),
    name: "healthcheck-missing",
    severity: Severity::Info,
    what: "A stage has no HEALTHCHECK.",
    why: "Docker and compose then take a process that hangs for one that is well. Kubernetes has probes of its own: off unless it is selected.",
    bad: "FROM debian:12\n\
          CMD [\"python\", \"app.py\"]\n",
    good: "FROM debian:12\n\
          HEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost:8000/health\"]\n\
          CMD [\"python\", \"app.py\"]\n",
    aliases: &[],
    initially: Initially::Off,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let checks =
        |stage: &Stage| lint.steps_of(stage).iter().any(|step| matches!(step.command, Some(Command::Healthcheck(_))));
    let mut well: Vec<bool> = lint.stages.iter().map(checks).collect();
    // Of what such a stage stands on nothing more is asked, and what stands on it has its check.
    for stage in lint.stages.iter().rev() {
        if let (Base::Stage(below), Some(true)) = (stage.base, well.get(stage.number).copied())
            && let Some(below) = well.get_mut(below)
        {
            *below = true;
        }
    }
    for stage in &lint.stages {
        let inherited = matches!(stage.base, Base::Stage(below) if well.get(below).copied().unwrap_or_default());
        let Some(own) = well.get_mut(stage.number) else { continue };
        *own |= inherited;
        let Some(step) = lint.steps.get(stage.from).filter(|_| !*own) else { continue };
        let help = "write HEALTHCHECK CMD [\"program\", \"argument\"]";
        tell(lint, found, step, step.name(), "this stage has no HEALTHCHECK", help, None);
    }
}
