//! ML125: a lock that is not held to.

use corten_diagnostic::{RuleId, Severity};

use super::pip;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::Call;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML125"),
    name: "no-lock",
    severity: Severity::Info,
    what: "A tool that has a lock may resolve anew.",
    why: "Where the lock does not fit the project, uv sync and poetry install change it, so that the image holds what nobody has tested. --locked (uv) and --deploy (pipenv) fail instead.",
    bad: "FROM python:3.12-slim\nCOPY pyproject.toml uv.lock /app/\nRUN uv sync\nUSER 1000\n",
    good: "FROM python:3.12-slim\nCOPY pyproject.toml uv.lock /app/\nRUN uv sync --locked\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// A variable may say the same.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, call) in lint.calls() {
        let is_set = |name: &str| pip::is_set(lint.definition(step, name)) || assigns(&call, name);
        let at = lint.place(call.at());
        match call.name.as_ref() {
            "uv" if call.verb_is("sync") => {
                let holds = call.has_any(&["--frozen", "--locked"]) || is_set("UV_FROZEN") || is_set("UV_LOCKED");
                if !holds {
                    let verb = call.operands().next().filter(|word| lint.stands(step, word));
                    let edit = verb.map(|verb| lint.edit(verb.at.end..verb.at.end, " --locked"));
                    let fix = edit.and_then(|edit| unsafe_fix("add --locked", vec![edit]));
                    found.fixed(
                        at,
                        "uv sync may resolve anew",
                        "add --locked: it fails where the lock does not fit",
                        fix,
                    );
                }
            }
            "pipenv" if call.verb_is("install") => {
                let holds = call.has_any(&["--deploy", "--ignore-pipfile"]);
                let is_of_project = call.operands().count() == 1;
                if is_of_project && !holds {
                    found.add(at, "pipenv install may resolve anew", "write pipenv sync, or add --deploy");
                }
            }
            "poetry"
                if call.verb_is("install") && !mentions(lint, "poetry.lock") && mentions(lint, "pyproject.toml") =>
            {
                found.add(at, "poetry install has no lock here", "copy poetry.lock beside pyproject.toml");
            }
            _ => {}
        }
    }
}

fn assigns(call: &Call<'_>, name: &str) -> bool {
    call.simple.assignments.iter().any(|assignment| assignment.name == name)
        || call.wrapper.iter().any(|word| word.known_start().starts_with(&format!("{name}=")))
}

fn mentions(lint: &Lint<'_>, file: &str) -> bool {
    lint.steps.iter().any(|step| step.line().text.contains(file))
}
