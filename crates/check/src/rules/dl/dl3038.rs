//! DL3038: installing with dnf asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, insert_flag, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3038"),
    name: "dnf-without-yes",
    severity: Severity::Warning,
    what: "Installing with dnf asks before it begins.",
    why: "Nobody answers in a build: it ends there.",
    bad: "FROM fedora:42\n\
          RUN dnf install httpd-2.4.63 && dnf clean all\n",
    good: "FROM fedora:42\n\
          RUN dnf install -y httpd-2.4.63 && dnf clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const VERBS: [&str; 3] = ["install", "groupinstall", "localinstall"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = |command: &Plain| command.has("dnf", &VERBS) || command.has("microdnf", &VERBS);
        let asks = |command: &&Plain| installs(command) && !command.has_flag(&["y", "assumeyes"]);
        let all: Vec<&Plain> = ran.commands.iter().filter(asks).collect();
        let Some(first) = all.first() else { return };
        let fix = insert_flag(lint, &all, &VERBS, "-y").and_then(|edits| safe("answer with -y", edits));
        tell(lint, found, step, first.at.clone(), "dnf install asks, and nobody answers", "write dnf install -y", fix);
    });
}
