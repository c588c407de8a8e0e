//! DL3033: a package of yum is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::{Argument, Plain};
use super::{each_run, packages_without_version, versions};
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
    let known = versions::Known::of(lint);
    each_run(lint, |step, ran| {
        let installs = |command: &&Plain| command.has("yum", &["install"]);
        let is_open = |command: &Plain, one: &Argument| {
            if command.has("yum", &["module"]) {
                !one.text.contains(':')
            } else {
                !known.is_fixed(lint, step, &one.text)
            }
        };
        let open = ran.commands.iter().filter(installs).flat_map(|command| {
            let packages = command.operands(&[]).into_iter();
            packages
                .filter(|one| !matches!(one.text.as_str(), "install" | "module"))
                .filter(|one| is_open(command, one))
        });
        packages_without_version(lint, found, step, &open.collect::<Vec<_>>(), "yum install PACKAGE-VERSION");
    });
}
