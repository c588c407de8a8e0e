//! DL3014: installing with apt-get asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::managers::unanswered;
use super::ran::Plain;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3014"),
    name: "apt-without-yes",
    severity: Severity::Warning,
    what: "Installing with apt-get asks before it begins.",
    why: "Nobody answers in a build: it ends there.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install curl\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    unanswered(lint, found, &["install"], asks, "apt-get install", "write apt-get install -y");
}

fn asks(command: &Plain) -> bool {
    let quiet = command.count("q") == 2 || command.count("quiet") == 2 || command.argument(&["-q=2"]).is_some();
    command.has("apt-get", &["install"]) && !command.has_flag(&["y", "yes", "qq", "assume-yes"]) && !quiet
}
