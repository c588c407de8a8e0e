//! ML162: what the context sends without being wanted.

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Copy;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML162"),
    name: "ignore-file",
    severity: Severity::Warning,
    what: "All of the context is copied, and .dockerignore leaves things in that no image wants.",
    why: "COPY . takes the history of git, virtual environments, runs of experiments and .env with it: gigabytes, a cache that never holds, and secrets. `<Dockerfile>.dockerignore` goes before .dockerignore.",
    bad: "# settings: context-known = true\nFROM python:3.12-slim\nCOPY . /app\nUSER 1000\n",
    good: "# settings: context-known = true\nFROM python:3.12-slim\nCOPY src /app\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// A path of each kind, and the pattern that keeps it out.
const UNWANTED: [(&str, &str); 7] = [
    (".git/HEAD", ".git"),
    (".env", ".env"),
    (".venv/bin/python", ".venv"),
    ("__pycache__/a.pyc", "**/__pycache__"),
    ("wandb/run/a", "wandb"),
    ("mlruns/0/a", "mlruns"),
    ("checkpoints/a.pt", "checkpoints"),
];

/// Nothing is said where the context is not known.
fn run(lint: &Lint<'_>, found: &mut Found) {
    if !lint.config.context_known {
        return;
    }
    let is_all =
        |copy: &Copy| copy.from.is_none() && copy.paths().any(|path| [".", "./"].contains(&path.text.as_str()));
    let all = lint.copies().find(|(_, copy)| is_all(copy));
    let Some((step, _)) = all else { return };
    match &lint.config.ignore {
        None => {
            let help = "write one, beginning with .git, .env, .venv, **/__pycache__";
            found.add(lint.place(step.at()), "all of the context is copied, and there is no .dockerignore", help);
        }
        Some(file) => {
            let left = UNWANTED.iter().filter(|(path, _)| !file.matcher.matches(path));
            let names: Vec<&str> = left.map(|(_, pattern)| *pattern).collect();
            if !names.is_empty() {
                let message = format!("{} leaves in what no image wants: {}", file.path.display(), names.join(", "));
                found.add(lint.place(step.at()), message, format!("add {}", names.join(", ")));
            }
        }
    }
}
