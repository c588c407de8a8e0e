//! DL3062: a package of go is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Argument;
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3062"),
    name: "unpinned-go",
    severity: Severity::Warning,
    what: "A package of go is installed without its version.",
    why: "The same Dockerfile gives another program whenever the package is released.",
    bad: "FROM golang:1.24\n\
          RUN go install example.com/tool@latest\n",
    good: "FROM golang:1.24\n\
          RUN go install example.com/tool@v1.2.3\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let programs = |verbs: &'static [&str]| ran.commands.iter().filter(move |command| command.has("go", verbs));
        let started = programs(&["run"]).flat_map(|command| {
            // What follows the package is for the program.
            command.operands(&[]).into_iter().take(2).filter(|one| one.text != "run")
        });
        let mut packages: Vec<&Argument> = started.collect();
        if packages.is_empty() {
            let all = programs(&["install", "get"]).flat_map(|command| command.operands(&[]));
            packages = all.filter(|one| !matches!(one.text.as_str(), "install" | "get" | "tool")).collect();
        }
        packages.retain(|one| !is_fixed(&one.text));
        packages_without_version(lint, found, step, &packages, "go install PACKAGE@VERSION");
    });
}

fn is_fixed(package: &str) -> bool {
    let moves = package.ends_with("@latest") || package.ends_with("@none");
    package.starts_with(['/', '.']) || package.contains('@') && !moves
}
