//! DL3013: a package of pip is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::{Argument, Plain};
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3013"),
    name: "unpinned-pip",
    severity: Severity::Warning,
    what: "A package of pip is installed without its version.",
    why: "The same Dockerfile gives another image whenever a package is released, also one that does not work. A requirements file with hashes, or a lock, pins what packages need, too.",
    bad: "FROM python:3.13-slim\n\
          RUN pip install --no-cache-dir flask\n",
    good: "FROM python:3.13-slim\n\
          RUN pip install --no-cache-dir flask==3.1.0\n",
    aliases: &["ML124"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Options whose value is the next word.
const WITH_VALUES: [&str; 26] = [
    "abi",
    "b",
    "build",
    "e",
    "editable",
    "extra-index-url",
    "f",
    "find-links",
    "i",
    "index-url",
    "implementation",
    "no-binary",
    "only-binary",
    "platform",
    "prefix",
    "progress-bar",
    "proxy",
    "python",
    "python-version",
    "root",
    "root-user-action",
    "src",
    "t",
    "target",
    "trusted-host",
    "upgrade-strategy",
];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| command.is_pip_install() && !is_told_elsewhere(command));
        let open: Vec<&Argument> =
            installs.flat_map(|command| command.installed(&WITH_VALUES)).filter(|one| !is_fixed(&one.text)).collect();
        packages_without_version(lint, found, step, &open, "pip install PACKAGE==VERSION, or a requirements file");
    });
}

/// A requirements file, constraints or the project itself decide.
fn is_told_elsewhere(command: &Plain) -> bool {
    command.argument(&["--requirement", "-r", "."]).is_some() || command.has_flag(&["constraint", "c"])
}

fn is_fixed(package: &str) -> bool {
    let versioned = package.contains("==") || package.contains("!=") || package.contains("~=");
    let versioned = versioned || package.contains(['<', '>']);
    let repository = ["git", "hg+", "svn", "bzr+"].iter().any(|scheme| package.starts_with(scheme));
    let path = package.ends_with(".whl") || package.ends_with(".tar.gz");
    versioned || path || if repository { package.contains('@') } else { package.contains('/') }
}
