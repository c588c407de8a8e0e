//! DL3034: a command of zypper asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::managers::unanswered;
use super::ran::Plain;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

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
    let answered = ["non-interactive", "n", "no-confirm", "y"];
    let asks = |command: &Plain| command.has("zypper", &VERBS) && !command.has_flag(&answered);
    unanswered(lint, found, &VERBS, asks, "zypper", "write zypper install -y");
}
