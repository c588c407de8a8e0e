//! DL3018: a package of apk is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3018"),
    name: "unpinned-apk",
    severity: Severity::Warning,
    what: "A package of apk is installed without its version.",
    why: "The same Dockerfile gives another image whenever the archive changes. Alpine drops old versions: to pin all, take an archive of your own.",
    bad: "FROM alpine:3.22\n\
          RUN apk add --no-cache curl\n",
    good: "FROM alpine:3.22\n\
          RUN apk add --no-cache curl=8.14.1-r1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let adds = ran.commands.iter().filter(|command| command.has("apk", &["add"]));
        let packages = adds.flat_map(|command| command.operands(&["t", "virtual", "repository", "X"]));
        let is_open = |one: &&Argument| {
            one.text != "add" && !one.text.contains(['=', '~', '>', '<']) && !one.text.ends_with(".apk")
        };
        let open: Vec<&Argument> = packages.filter(is_open).collect();
        packages_without_version(lint, found, step, &open, "apk add PACKAGE=VERSION");
    });
}
