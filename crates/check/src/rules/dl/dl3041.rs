//! DL3041: a package of dnf is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::{Argument, Plain};
use super::versions::Known;
use super::{each_run, packages_without_version};
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
    let known = Known::of(lint);
    let is = |command: &Plain, verbs: &[&str]| command.has("dnf", verbs) || command.has("microdnf", verbs);
    // A group has no version.
    let installs =
        |command: &&Plain| is(command, &["install"]) && (is(command, &["module"]) || !is(command, &["group"]));
    each_run(lint, |step, ran| {
        let commands = ran.commands.iter().filter(installs);
        let open: Vec<&Argument> = commands.flat_map(|command| known.open(lint, step, command)).collect();
        packages_without_version(lint, found, step, &open, "dnf install PACKAGE-VERSION");
    });
}
