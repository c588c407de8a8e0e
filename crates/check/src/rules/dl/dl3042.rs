//! DL3042: the cache of pip stays in the layer.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Command, Pair};

use super::ran::Plain;
use super::{Inherited, insert_flag, tell, unquoted};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3042"),
    name: "pip-cache",
    severity: Severity::Warning,
    what: "The cache of pip stays in the layer.",
    why: "The wheels lie in the image twice then, packed and installed; a later RUN cannot make this layer smaller. --no-cache-dir keeps them out, and the next build downloads them anew; a cache mount (RUN --mount=type=cache,target=/root/.cache/pip) keeps them out, too, and makes the next build fast, on the same machine.",
    bad: "FROM python:3.13-slim\n\
          RUN pip install flask==3.1.0\n",
    good: "FROM python:3.13-slim\n\
          RUN pip install --no-cache-dir flask==3.1.0\n",
    aliases: &["ML123"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const TRUE: [&str; 10] = ["1", "true", "True", "TRUE", "on", "On", "ON", "yes", "Yes", "YES"];
const NAME: &str = "PIP_NO_CACHE_DIR";

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut unset = Inherited::default();
    for step in &lint.steps {
        match step.meant() {
            Some(Command::From(_)) => unset.enter(lint, step),
            Some(Command::Env(pairs)) if pairs.iter().any(is_true) => unset.set(),
            Some(Command::Run(_)) if !unset.is_set() => look(lint, step, found),
            _ => {}
        }
    }
}

fn is_true(pair: &Pair) -> bool {
    unquoted(&pair.name.text) == NAME && TRUE.contains(&unquoted(&pair.value.text))
}

fn look(lint: &Lint<'_>, step: &Step<'_>, found: &mut Found) {
    let Some(ran) = lint.ran_of(step) else { return };
    let keeps = |command: &&Plain| {
        command.is_pip_install() && command.argument(&["--no-cache-dir"]).is_none() && !command.name.contains("pipx")
    };
    let all: Vec<&Plain> = ran.commands.iter().filter(keeps).collect();
    let Some(first) = all.first() else { return };
    if ran.keeps(".cache/pip") || says_in_script(&step.line().text) {
        return;
    }
    let fix =
        insert_flag(lint, &all, &["install"], "--no-cache-dir").and_then(|edits| safe("add --no-cache-dir", edits));
    let help = "write pip install --no-cache-dir, or mount a cache: RUN --mount=type=cache,target=/root/.cache/pip";
    tell(lint, found, step, first.at.clone(), "pip keeps its cache in this layer", help, fix);
}

/// `PIP_NO_CACHE_DIR=1` in the text of the command.
fn says_in_script(text: &str) -> bool {
    let behind = text.split_once(NAME).and_then(|(_, rest)| rest.strip_prefix('='));
    behind.is_some_and(|value| TRUE.iter().any(|word| value.starts_with(word)))
}
