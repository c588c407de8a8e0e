//! DL3006: a base has no tag.

use std::collections::HashSet;

use corten_diagnostic::{RuleId, Severity};

use super::{images, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3006"),
    name: "untagged-base",
    severity: Severity::Warning,
    what: "A base has no tag.",
    why: "It is `latest` then: another image tomorrow, and nobody can say which one was built on.",
    bad: "FROM python\n",
    good: "FROM python:3.13-slim\n",
    aliases: &["ML101"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut names: HashSet<String> = HashSet::new();
    for (step, image) in images(lint) {
        let pinned = image.name == "scratch" || image.digest.is_some() || image.tag.is_some();
        let known = image.name.starts_with('$') || names.contains(&image.name.to_ascii_lowercase());
        if !pinned && !known {
            let message = format!("{} has no tag", image.name);
            tell(lint, found, step, image.at.clone(), message, "name the version, as python:3.13-slim", None);
        }
        names.extend(image.stage);
    }
}
