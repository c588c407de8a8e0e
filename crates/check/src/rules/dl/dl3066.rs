//! DL3066: uSER is a name, not a number.

use std::collections::HashSet;

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3066"),
    name: "user-by-name",
    severity: Severity::Info,
    what: "USER is a name, not a number.",
    why: "Kubernetes cannot tell that a name is not root (runAsNonRoot), and the host has no such user: files that it writes belong to a number nobody chose.",
    bad: "FROM debian:12\n\
          USER app\n",
    good: "FROM debian:12\n\
          USER 10001\n",
    aliases: &["ML152"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut given: HashSet<&str> = HashSet::new();
    for step in &lint.steps {
        match &step.command {
            Some(Command::Arg(all)) => given.extend(all.iter().map(|(name, _)| name.text.as_str())),
            Some(Command::User(user)) => {
                let name = user.text.split(':').next().unwrap_or_default();
                let number = name.chars().all(|letter| letter.is_ascii_digit());
                if !number && !is_given(&user.text, &given) {
                    let message = format!("{name} is a name that the host does not know");
                    tell(lint, found, step, step.word(user), message, "write its number, as USER 10001", None);
                }
            }
            _ => {}
        }
    }
}

/// Does a variable in it begin with the name of an ARG?
fn is_given(user: &str, given: &HashSet<&str>) -> bool {
    user.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let is_part = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
        let name = rest.chars().take_while(is_part).count();
        (1..=name).any(|end| rest.get(..end).is_some_and(|start| given.contains(start)))
    })
}
