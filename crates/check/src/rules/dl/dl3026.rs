//! DL3026: an image comes from a registry that is not trusted.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{split, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3026"),
    name: "trusted-registry",
    severity: Severity::Error,
    what: "An image comes from a registry that is not trusted.",
    why: "The settings say which registries may be built on.",
    bad: "# settings: trusted-registries = [\"docker.io\"]\n\
          FROM registry.example.com/debian:12\n",
    good: "# settings: trusted-registries = [\"docker.io\"]\n\
          FROM debian:12\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    if lint.config.trusted_registries.is_empty() {
        return;
    }
    for step in &lint.steps {
        let foreign = match &step.command {
            Some(Command::From(from)) => Some(&from.image).filter(|image| !is_allowed(lint, step, &image.text)),
            Some(Command::Copy(copy)) => copy.from.as_ref().filter(|from| !is_allowed(lint, step, &from.text)),
            Some(Command::Run(run)) => run.mounts.iter().find(|mount| {
                let from = mount.text.split(',').find_map(|field| field.strip_prefix("from="));
                from.is_some_and(|from| !is_allowed(lint, step, from))
            }),
            _ => None,
        };
        let Some(image) = foreign else { continue };
        let message = format!("{} is from no trusted registry", image.text);
        let help = format!("trusted are {}", lint.config.trusted_registries.join(", "));
        tell(lint, found, step, step.word(image), message, help, None);
    }
}

/// A stage before it, nothing at all, or an image of a trusted registry.
fn is_allowed(lint: &Lint<'_>, step: &Step<'_>, image: &str) -> bool {
    let from = step
        .stage
        .filter(|_| matches!(step.command, Some(Command::From(_))))
        .map_or(step.stage, |own| own.checked_sub(1));
    let before = from.map_or(0, |stage| stage + 1);
    if image == "scratch" || lint.stage_named(image, before).is_some() {
        return true;
    }
    let registry = split(image).registry;
    let trusted = |name: &str| lint.config.trusted_registries.iter().any(|pattern| matches(pattern, name));
    match registry {
        Some(registry) => trusted(registry),
        None => trusted("docker.io") || trusted("hub.docker.com"),
    }
}

fn matches(pattern: &str, registry: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), _) => registry.ends_with(end),
        (None, Some(start)) => registry.starts_with(start),
        (None, None) => registry == pattern,
    }
}
