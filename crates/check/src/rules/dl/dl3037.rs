//! DL3037: a package of zypper is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3037"),
    name: "unpinned-zypper",
    severity: Severity::Warning,
    what: "A package of zypper is installed without its version.",
    why: "The same Dockerfile gives another image whenever the archive changes.",
    bad: "FROM opensuse/leap:15.6\n\
          RUN zypper install -y curl && zypper clean\n",
    good: "FROM opensuse/leap:15.6\n\
          RUN zypper install -y curl=8.6.0 && zypper clean\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| command.has("zypper", &["install", "in"]));
        let is_open = |one: &&Argument| {
            let verb = matches!(one.text.as_str(), "install" | "in");
            !verb && !one.text.contains(['=', '>', '<']) && !one.text.ends_with(".rpm")
        };
        let open: Vec<&Argument> = installs.flat_map(|command| command.operands(&[])).filter(is_open).collect();
        packages_without_version(lint, found, step, &open, "zypper install PACKAGE=VERSION");
    });
}
