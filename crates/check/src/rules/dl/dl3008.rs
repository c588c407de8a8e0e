//! DL3008: a package of apt-get is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3008"),
    name: "unpinned-apt",
    severity: Severity::Warning,
    what: "A package of apt-get is installed without its version.",
    why: "The same Dockerfile gives another image whenever the archive changes. Old versions leave Debian's archive, and what a package needs is not pinned with it: an archive of one day (snapshot.debian.org) pins all.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl=7.88.1-10+deb12u12\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| command.has("apt-get", &["install"]));
        let packages = installs.flat_map(|command| command.operands(&["t", "target-release"]));
        let open: Vec<&Argument> = packages.filter(|one| one.text != "install" && !is_fixed(&one.text)).collect();
        packages_without_version(lint, found, step, &open, "apt-get install PACKAGE=VERSION");
    });
}

fn is_fixed(package: &str) -> bool {
    package.contains(['=', '/']) || package.ends_with(".deb")
}
