//! ML182: an image that does not say where it came from.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::start;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML182"),
    name: "labels",
    severity: Severity::Info,
    what: "The image has no label for source, revision or version.",
    why: "Who finds it in a registry cannot tell which commit it was made of. `docker build --label`, metadata actions and `corten ship` set these labels themselves: the rule speaks only where it is asked to.",
    bad: "FROM python:3.12-slim\nUSER 1000\n",
    good: "FROM python:3.12-slim\nLABEL org.opencontainers.image.source=\"https://example.com/x\" org.opencontainers.image.revision=\"1f\" org.opencontainers.image.version=\"1.0\"\nUSER 1000\n",
    aliases: &[],
    initially: Initially::Off,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    let labels: Vec<&str> = start::steps(lint, target)
        .filter_map(|step| if let Some(Command::Label(pairs)) = &step.command { Some(pairs) } else { None })
        .flatten()
        .map(|pair| pair.name.text.trim_matches(['"', '\'']))
        .collect();
    let wanted = ["source", "revision", "version"].map(|name| format!("org.opencontainers.image.{name}"));
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|name| !labels.contains(name)).collect();
    if let (false, Some(step)) = (missing.is_empty(), lint.steps.get(target.from)) {
        let message = format!("the image has no label {}", missing.join(", "));
        found.add(lint.place(step.at()), message, "set them with --label where it is built, or by LABEL with an ARG");
    }
}
