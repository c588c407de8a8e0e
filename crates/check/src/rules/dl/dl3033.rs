//! DL3033: a package of yum is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::versions::Known;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3033"),
    name: "unpinned-yum",
    severity: Severity::Warning,
    what: "A package of yum is installed without its version.",
    why: "The same Dockerfile gives another image whenever the archive changes.",
    bad: "FROM rockylinux:9\n\
          RUN yum install -y httpd && yum clean all\n",
    good: "FROM rockylinux:9\n\
          RUN yum install -y httpd-2.4.62 && yum clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let known = Known::of(lint);
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| command.has("yum", &["install"]));
        let open: Vec<&Argument> = installs.flat_map(|command| known.open(lint, step, command)).collect();
        packages_without_version(lint, found, step, &open, "yum install PACKAGE-VERSION");
    });
}
