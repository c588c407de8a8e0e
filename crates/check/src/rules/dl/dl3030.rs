//! DL3030: installing with yum asks before it begins.

use corten_diagnostic::{RuleId, Severity};

use super::managers::unanswered;
use super::ran::Plain;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3030"),
    name: "yum-without-yes",
    severity: Severity::Warning,
    what: "Installing with yum asks before it begins.",
    why: "Nobody answers in a build: it ends there.",
    bad: "FROM rockylinux:9\n\
          RUN yum install httpd-2.4.62 && yum clean all\n",
    good: "FROM rockylinux:9\n\
          RUN yum install -y httpd-2.4.62 && yum clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const VERBS: [&str; 3] = ["install", "groupinstall", "localinstall"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let asks = |command: &Plain| command.has("yum", &VERBS) && !command.has_flag(&["y", "assumeyes"]);
    unanswered(lint, found, &VERBS, asks, "yum install", "write yum install -y");
}
