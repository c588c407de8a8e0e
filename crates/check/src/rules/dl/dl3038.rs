//! DL3038: installing with dnf asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::managers::unanswered;
use super::ran::Plain;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

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
    let installs = |command: &Plain| command.has("dnf", &VERBS) || command.has("microdnf", &VERBS);
    let asks = |command: &Plain| installs(command) && !command.has_flag(&["y", "assumeyes"]);
    unanswered(lint, found, &VERBS, asks, "dnf install", "write dnf install -y");
}
