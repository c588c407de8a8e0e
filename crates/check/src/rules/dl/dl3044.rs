//! DL3044: ENV uses a variable that the same ENV defines.

use std::collections::HashSet;

use corten_diagnostic::{Edit, RuleId, Severity};
use corten_frontend::dockerfile::{Command, Pair};

use super::{tell, unquoted};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3044"),
    name: "env-refers-to-itself",
    severity: Severity::Error,
    what: "ENV uses a variable that the same ENV defines.",
    why: "All values of one ENV are made before any of it holds: the old value is used, or none.",
    bad: "FROM debian:12\n\
          ENV HOME_DIR=/app DATA_DIR=$HOME_DIR/data\n",
    good: "FROM debian:12\n\
          ENV HOME_DIR=/app\n\
          ENV DATA_DIR=$HOME_DIR/data\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut known: HashSet<&str> = HashSet::new();
    for step in &lint.steps {
        match &step.command {
            Some(Command::Arg(all)) => known.extend(all.iter().map(|(name, _)| name.text.as_str())),
            Some(Command::Env(pairs)) => {
                let used = |pair: &&Pair| {
                    let others = pairs.iter().filter(|other| other.name.range != pair.name.range);
                    let name = unquoted(&pair.name.text);
                    !known.contains(name) && others.into_iter().any(|other| refers(&other.value.text, name))
                };
                if let Some(pair) = pairs.iter().find(used) {
                    let message = format!("{} holds only behind this ENV", pair.name.text);
                    let fix = apart(lint, step, pairs).and_then(|edits| unsafe_fix("make an ENV of each", edits));
                    tell(lint, found, step, step.word(&pair.name), message, "use it in an ENV of its own", fix);
                }
                known.extend(pairs.iter().map(|pair| unquoted(&pair.name.text)));
            }
            _ => {}
        }
    }
}

/// `${name}`, or `$name` with nothing behind it that would make it longer.
fn refers(value: &str, name: &str) -> bool {
    let bare = format!("${name}");
    let ends = |rest: &str| !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    value.contains(&format!("${{{name}}}")) || value.split(&bare).skip(1).any(ends)
}

/// Between two pairs there are only blanks, or a continuation.
fn apart(lint: &Lint<'_>, step: &Step<'_>, pairs: &[Pair]) -> Option<Vec<Edit>> {
    let edits = pairs.windows(2).map(|two| {
        let [one, next] = two else { return None };
        let between = step.word(&one.value).end..step.word(&next.name).start;
        let blank =
            lint.text(between.clone()).chars().all(|letter| letter.is_whitespace() || letter == lint.file.escape);
        blank.then(|| lint.edit(between, "\nENV "))
    });
    edits.collect()
}
