//! DL3016: a package of npm is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3016"),
    name: "unpinned-npm",
    severity: Severity::Warning,
    what: "A package of npm is installed without its version.",
    why: "The same Dockerfile gives another image whenever a package is released.",
    bad: "FROM node:22\n\
          RUN npm install express\n",
    good: "FROM node:22\n\
          RUN npm install express@4.21.2\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const WITH_VALUES: [&str; 2] = ["loglevel", "registry"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| {
            let first = command.operands(&WITH_VALUES).first().is_some_and(|one| one.text == "install");
            first && command.has("npm", &["install"])
        });
        let open: Vec<&Argument> =
            installs.flat_map(|command| command.installed(&WITH_VALUES)).filter(|one| !is_fixed(&one.text)).collect();
        packages_without_version(lint, found, step, &open, "npm install PACKAGE@VERSION");
    });
}

fn is_fixed(package: &str) -> bool {
    if ["git://", "git+ssh://", "git+http://", "git+https://"].iter().any(|scheme| package.starts_with(scheme)) {
        return package.contains('#');
    }
    let archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| package.ends_with(end));
    let folder = ["/", "./", "../", "~/"].iter().any(|start| package.starts_with(start));
    // The @ of a scope is none of a version.
    let bare = if package.starts_with('@') { package.trim_start_matches(|letter| letter > '/') } else { package };
    archive || folder || bare.contains('@')
}
