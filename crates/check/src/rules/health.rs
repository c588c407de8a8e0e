//! ML154: nobody can see whether the service is well.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML154"),
    name: "no-healthcheck",
    severity: Severity::Info,
    what: "A service has no health check.",
    why: "A process that hangs still runs: without a check it keeps getting requests, and compose cannot wait until it is there. Jobs need none; Kubernetes has its own.",
    bad: "healthcheck = false",
    good: "healthcheck = true",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let listens = input.listens || input.config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty());
    let check = input.config.healthcheck.as_ref();
    let checked = check.is_some_and(|check| check.test.first().is_some_and(|kind| kind != "NONE"));
    if listens && !checked {
        found.add(
            place(input.settings.as_ref()),
            "the service has no health check",
            "set healthcheck = { path = \"/health\" }",
        );
    }
}
