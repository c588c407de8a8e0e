//! DL3034: a command of zypper asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, insert_flag, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3034"),
    name: "zypper-without-yes",
    severity: Severity::Warning,
    what: "A command of zypper asks before it begins.",
    why: "Nobody answers in a build: it ends there.",
    bad: "FROM opensuse/leap:15.6\n\
          RUN zypper install curl=8.6.0 && zypper clean\n",
    good: "FROM opensuse/leap:15.6\n\
          RUN zypper install -y curl=8.6.0 && zypper clean\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const VERBS: [&str; 7] = ["install", "in", "remove", "rm", "source-install", "si", "patch"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let answered = ["non-interactive", "n", "no-confirm", "y"];
        let asks = |command: &&Plain| command.has("zypper", &VERBS) && !command.has_flag(&answered);
        let all: Vec<&Plain> = ran.commands.iter().filter(asks).collect();
        let Some(first) = all.first() else { return };
        let fix = insert_flag(lint, &all, &VERBS, "-y").and_then(|edits| safe("answer with -y", edits));
        tell(lint, found, step, first.at.clone(), "zypper asks, and nobody answers", "write zypper install -y", fix);
    });
}
