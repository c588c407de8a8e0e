//! ML102: a base by a tag that can be moved.

use corten_diagnostic::{RuleId, Severity};

use super::images;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML102"),
    name: "base-unpinned",
    severity: Severity::Info,
    what: "A base is named by a tag, not by content.",
    why: "A tag can be moved; then the same commit gives another image. name:tag@sha256:… keeps the tag for people and the content for machines. Take the digest of the index, which holds all platforms, not that of one platform's manifest; `corten lock` writes it to corten.lock where the Dockerfile is Corten's own.",
    bad: "FROM python:3.12-slim\nUSER 1000\n",
    good: "FROM python:3.12-slim@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Those without a tag are ML101's.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let is_tagged = |image: &images::Image<'_>| image.tag.as_deref().is_some_and(|tag| tag != "latest");
    for image in images::all(lint).filter(|image| !image.has_digest && is_tagged(image)) {
        let Some(step) = lint.steps.get(image.stage.from) else { continue };
        let at = lint.place(step.word(&image.stage.image));
        found.add(at, format!("base {} is not pinned", image.name), format!("write {}@sha256:…", image.name));
    }
}
