//! DL3019: the index of apk stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, insert_flag, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3019"),
    name: "apk-cache",
    severity: Severity::Info,
    what: "The index of apk stays in the layer.",
    why: "It is megabytes that nobody reads again; a later RUN cannot make this layer smaller.",
    bad: "FROM alpine:3.22\n\
          RUN apk add curl=8.14.1-r1\n",
    good: "FROM alpine:3.22\n\
          RUN apk add --no-cache curl=8.14.1-r1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let keeps = |command: &&Plain| command.has("apk", &["add"]) && !command.has_flag(&["no-cache"]);
        let all: Vec<&Plain> = ran.commands.iter().filter(keeps).collect();
        let Some(first) = all.first().filter(|_| !ran.keeps("/var/cache/apk")) else { return };
        let fix = insert_flag(lint, &all, &["add"], "--no-cache").and_then(|edits| safe("add --no-cache", edits));
        tell(lint, found, step, first.at.clone(), "apk keeps its index in this layer", "write apk add --no-cache", fix);
    });
}
