//! ML154: nobody can see whether the service is well.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::start;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML154"),
    name: "no-healthcheck",
    severity: Severity::Info,
    what: "A service has no HEALTHCHECK.",
    why: "A process that hangs still runs: without a check it keeps getting requests, and compose cannot wait until it is there. Jobs need none; Kubernetes has its own. The OCI format has no place for it: an image pushed as OCI loses it.",
    bad: "FROM python:3.12-slim\nEXPOSE 8000\nUSER 1000\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    good: "FROM python:3.12-slim\nEXPOSE 8000\nUSER 1000\nHEALTHCHECK CMD [\"python\", \"-c\", \"import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health')\"]\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    let steps: Vec<_> = start::steps(lint, target).collect();
    let is_checked = steps.iter().any(|step| matches!(step.command, Some(Command::Healthcheck(_))));
    let exposes = steps.iter().find(|step| matches!(step.command, Some(Command::Expose(_))));
    let serves = || start::of(lint, target).filter(start::Start::serves).map(|start| start.step);
    if let (false, Some(step)) = (is_checked, exposes.copied().or_else(serves)) {
        let help = "add HEALTHCHECK CMD with a program that the image has: python -c \"import urllib.request …\"";
        found.add(lint.place(step.at()), "the service has no health check", help);
    }
}
