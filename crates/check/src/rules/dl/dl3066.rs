//! DL3066: USER is a name, not a number.

use std::collections::HashSet;

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::{Command, Word};

use super::tell;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::Call;

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
                    let fix = numbered(lint, step, user, name);
                    tell(lint, found, step, step.word(user), message, "write its number, as USER 10001", fix);
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

/// The number that the user was made with, in this stage or one below it.
fn numbered(lint: &Lint<'_>, step: &Step<'_>, user: &Word, name: &str) -> Option<Fix> {
    let stage = lint.stage_of(step)?;
    let own: Vec<usize> = lint.below(stage).map(|one| one.number).collect();
    let is_own = |other: &Step<'_>| other.number < step.number && other.stage.is_some_and(|stage| own.contains(&stage));
    let made = lint.calls().filter(|(other, call)| {
        is_own(other) && call.is_any(&["useradd", "adduser"]) && call.arguments().iter().any(|word| word.is(name))
    });
    let numbers: Vec<String> = made.filter_map(|(_, call)| number_of(&call)).collect();
    let [number] = numbers.as_slice() else { return None };
    let at = step.word(user);
    let at = at.start..at.start + name.len();
    (lint.text(at.clone()) == name)
        .then(|| unsafe_fix("write its number", vec![lint.edit(at, number.as_str())]))
        .flatten()
}

/// `-u 1000`, `--uid 1000`, `--uid=1000`.
fn number_of(call: &Call<'_>) -> Option<String> {
    let words: Vec<_> = call.arguments().iter().map(|word| word.literal().unwrap_or_default()).collect();
    let behind = words.windows(2).find(|two| ["-u", "--uid"].contains(&two[0].as_ref())).map(|two| two[1].to_string());
    let number = behind.or_else(|| words.iter().find_map(|word| Some(word.strip_prefix("--uid=")?.to_owned())))?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}
