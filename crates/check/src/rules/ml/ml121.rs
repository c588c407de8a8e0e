//! ML121: the source before the packages.

use corten_diagnostic::{RuleId, Severity};

use super::pip;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Call;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML121"),
    name: "copy-before-install",
    severity: Severity::Warning,
    what: "The whole source is copied before packages are installed.",
    why: "Every change of a line makes the step with the packages run again: minutes, and gigabytes to push. Copy the files that say what to install first, install, then copy the source; or mount those files (RUN --mount=type=bind).",
    bad: "FROM python:3.12-slim\nCOPY . /app\nRUN pip install --no-cache-dir -r /app/requirements.txt\nUSER 1000\n",
    good: "FROM python:3.12-slim\nCOPY requirements.txt /app/\nRUN pip install --no-cache-dir -r /app/requirements.txt\nCOPY . /app\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// What installs the project itself needs its source.
fn run(lint: &Lint<'_>, found: &mut Found) {
    if !super::is_ordinary(lint) {
        return;
    }
    let mut told = std::collections::BTreeSet::new();
    for (step, at) in installs(lint) {
        let Some(stage) = lint.stage_of(step) else { continue };
        let mut before = lint.steps_of(stage).iter().filter(|one| one.number < step.number);
        let Some(copy) = before.rfind(|one| copies_all(one)) else { continue };
        if told.insert(copy.number) {
            let message = "the whole source is copied before packages are installed: every change installs them again";
            let help = format!(
                "copy what names the packages first, and the source behind line {}",
                lint.span(at).position().0
            );
            found.add(lint.place(copy.at()), message, help);
        }
    }
}

/// Steps that install what files of the project name, and where in them.
fn installs<'l>(lint: &'l Lint<'_>) -> Vec<(&'l Step<'l>, std::ops::Range<usize>)> {
    let own = pip::installs(lint).into_iter().filter(|install| {
        let names = install.files().next().is_some() || install.packages.iter().any(|one| one.kind == pip::Kind::Named);
        names && !install.installs_paths()
    });
    let mut all: Vec<_> = own.map(|install| (install.step, install.call.at())).collect();
    all.extend(lint.calls().filter(|(_, call)| by_lock(call)).map(|(step, call)| (step, call.at())));
    all.sort_by_key(|(_, at)| at.start);
    all
}

fn by_lock(call: &Call<'_>) -> bool {
    match call.name.as_ref() {
        "uv" => call.verb_is("sync") && call.has("--no-install-project"),
        "poetry" => call.verb_is("install") && call.has_any(&["--no-root", "--only=main", "--no-directory"]),
        "pipenv" => call.verb_is("install") || call.verb_is("sync"),
        "npm" => call.verb_is("ci") || call.verb_is("install"),
        "conda" | "mamba" | "micromamba" => call.has("env") && (call.has("create") || call.has("update")),
        _ => false,
    }
}

/// `COPY . …`, from the context.
fn copies_all(step: &Step<'_>) -> bool {
    let Some(copy) = step.copy() else { return false };
    copy.from.is_none() && copy.paths().any(|path| [".", "./", "*", "./*"].contains(&path.text.as_str()))
}
