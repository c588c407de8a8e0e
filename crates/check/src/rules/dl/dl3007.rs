//! DL3007: a base has the tag `latest`.

use corten_diagnostic::{RuleId, Severity};

use super::{images, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3007"),
    name: "latest-base",
    severity: Severity::Warning,
    what: "A base has the tag `latest`.",
    why: "It is another image tomorrow, and nobody can say which one was built on.",
    bad: "FROM python:latest\n",
    good: "FROM python:3.13-slim\n",
    aliases: &["ML101"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, image) in images(lint) {
        if image.tag == Some("latest") && image.digest.is_none() {
            let message = format!("{}:latest is another image tomorrow", image.name);
            tell(lint, found, step, image.at.clone(), message, "name the version, as python:3.13-slim", None);
        }
    }
}
