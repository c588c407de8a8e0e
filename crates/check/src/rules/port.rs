//! ML188: a service, and no way to it.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML188"),
    name: "no-port",
    severity: Severity::Info,
    what: "A service exposes no port.",
    why: "Tools that read the port from the image (docker run -P, many platforms) do not find the service.",
    bad: "port = false",
    good: "port = true",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let exposes = input.config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty());
    if input.listens && !exposes {
        found.add(place(input.settings.as_ref()), "the service exposes no port", "set port = 8000");
    }
}
