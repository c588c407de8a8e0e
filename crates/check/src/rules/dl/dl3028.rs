//! DL3028: a package of gem is installed without its version.

use corten_diagnostic::{RuleId, Severity};

use super::ran::{Argument, Plain};
use super::{each_run, packages_without_version};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3028"),
    name: "unpinned-gem",
    severity: Severity::Warning,
    what: "A package of gem is installed without its version.",
    why: "The same Dockerfile gives another image whenever a package is released.",
    bad: "FROM ruby:3.4\n\
          RUN gem install rails\n",
    good: "FROM ruby:3.4\n\
          RUN gem install rails:8.0.2\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let installs = ran.commands.iter().filter(|command| {
            let version =
                |one: &Argument| matches!(one.text.as_str(), "-v" | "--version") || one.text.starts_with("--version=");
            command.has("gem", &["install", "i"]) && !command.arguments.iter().any(version)
        });
        let open: Vec<&Argument> = installs.flat_map(gems).filter(|gem| !gem.text.contains(':')).collect();
        packages_without_version(lint, found, step, &open, "gem install PACKAGE:VERSION");
    });
}

/// What is neither an option nor the word behind one, before `--`.
fn gems(command: &Plain) -> Vec<&Argument> {
    let mut gems = Vec::new();
    let mut all = command.arguments.iter().take_while(|one| one.text != "--");
    while let Some(one) = all.next() {
        if one.text.starts_with('-') {
            all.next();
        } else if !matches!(one.text.as_str(), "install" | "i") {
            gems.push(one);
        }
    }
    gems
}
