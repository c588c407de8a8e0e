//! DL3027: RUN uses apt.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3027"),
    name: "apt-for-people",
    severity: Severity::Warning,
    what: "RUN uses apt.",
    why: "People at a terminal are whom apt is for: it says itself that its options may change. apt-get and apt-cache are for scripts.",
    bad: "FROM debian:12\n\
          RUN apt install -y curl=7.88.1-10\n",
    good: "FROM debian:12\n\
          RUN apt-get install -y curl=7.88.1-10\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// What apt-get and apt-cache know by the same name.
const GET: [&str; 11] = [
    "install",
    "update",
    "upgrade",
    "remove",
    "purge",
    "autoremove",
    "autopurge",
    "clean",
    "autoclean",
    "source",
    "build-dep",
];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| command.name == "apt").collect();
        let Some(first) = all.first() else { return };
        let edits = all.iter().map(|command| {
            let verb = command.operands(&["o", "t", "c", "target-release"]).first().map(|one| one.text.as_str())?;
            (GET.contains(&verb) && command.stands(lint)).then(|| lint.edit(command.at.clone(), "apt-get"))
        });
        let fix = edits.collect::<Option<Vec<_>>>().and_then(|edits| safe("write apt-get", edits));
        tell(lint, found, step, first.at.clone(), "apt is for people at a terminal", "write apt-get or apt-cache", fix);
    });
}
