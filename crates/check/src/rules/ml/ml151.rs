//! ML151: the service is root.

use corten_diagnostic::{RuleId, Severity};

use super::{images, users};
use crate::lint::{Base, Lint};
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML151"),
    name: "root-user",
    severity: Severity::Warning,
    what: "The container starts as root.",
    why: "Whoever breaks into the service is root in the container, and one mistake of the kernel away from the host. Many clusters refuse such images (runAsNonRoot).",
    bad: "FROM python:3.12-slim\nCMD [\"python\", \"app.py\"]\n",
    good: "FROM python:3.12-slim\nUSER 10001\nCMD [\"python\", \"app.py\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Images that are made for another user have one already; an entry point that changes it is no root.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    if steps_down(lint) {
        return;
    }
    // A last USER that is root has a number of its own: DL3002.
    if users::last(lint, target).is_some() {
        return;
    }
    let (root, image) = (lint.root_of(target), images::root(lint, target));
    let is_root = match image.as_ref().and_then(|image| lint.config.images.get(&image.name)) {
        Some(config) => users::is_root(&config.config.user),
        None => !image.as_ref().is_some_and(users::has_user),
    };
    let is_known = image.is_some() || root.base == Base::Scratch;
    if let Some(step) = lint.steps.get(target.from).filter(|_| is_root && is_known) {
        let message = "no USER: the service runs as root";
        found.add(lint.place(step.at()), message, "add USER with a number, as USER 10001:10001, before CMD");
    }
}

/// gosu, su-exec, setpriv in the entry point.
fn steps_down(lint: &Lint<'_>) -> bool {
    let programs = ["gosu", "su-exec", "setpriv", "s6-setuidgid", "tini-static"];
    lint.steps.iter().any(|step| programs.iter().any(|program| step.line().text.contains(program)))
}
