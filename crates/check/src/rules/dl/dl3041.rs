//! DL3041: a package of dnf is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::{Argument, Plain};
use super::{each_run, packages_without_version, versions};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3041"),
    name: "unpinned-dnf",
    severity: Severity::Warning,
    what: "A package of dnf is installed without its version.",
    why: "The same Dockerfile gives another image whenever the archive changes.",
    bad: "FROM fedora:42\n\
          RUN dnf install -y httpd && dnf clean all\n",
    good: "FROM fedora:42\n\
          RUN dnf install -y httpd-2.4.63 && dnf clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let known = versions::Known::of(lint);
    each_run(lint, |step, ran| {
        let is = |command: &Plain, verbs: &[&str]| command.has("dnf", verbs) || command.has("microdnf", verbs);
        let is_open = |command: &Plain, one: &Argument| match (is(command, &["module"]), is(command, &["group"])) {
            (true, _) => !one.text.contains(':'),
            (false, true) => false,
            (false, false) => !known.is_fixed(lint, step, &one.text),
        };
        let open = ran.commands.iter().filter(|command| is(command, &["install"])).flat_map(|command| {
            let packages = command.operands(&[]).into_iter();
            packages
                .filter(|one| !matches!(one.text.as_str(), "install" | "module"))
                .filter(|one| is_open(command, one))
        });
        packages_without_version(lint, found, step, &open.collect::<Vec<_>>(), "dnf install PACKAGE-VERSION");
    });
}
