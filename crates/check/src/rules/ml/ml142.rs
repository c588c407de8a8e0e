//! ML142: a file of secrets.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::secret_files;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML142"),
    name: "secret-file",
    severity: Severity::Error,
    what: "COPY or ADD takes a file that is called like one that holds secrets.",
    why: "Whoever can pull the image can read every file of every layer; deleting it in a later layer does not help. A build that needs it mounts it: RUN --mount=type=secret. Put it into .dockerignore, so that COPY . does not take it either.",
    bad: "FROM python:3.12-slim\nCOPY .env /app/.env\nUSER 1000\n",
    good: "FROM python:3.12-slim\nCOPY .env.example /app/.env.example\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, copy) in lint.copies() {
        for word in copy.paths() {
            let path = word.text.trim_matches(['"', '\'']);
            // `.env*` takes .env, too.
            let bare = path.trim_end_matches('*');
            if !path.contains("://") && (secret_files::is_secret(path) || secret_files::is_secret(bare)) {
                let message = format!("'{path}' is called like a file that holds secrets; a later rm does not help");
                let help = "mount it where the build needs it: RUN --mount=type=secret,id=…,target=…";
                found.add(lint.place(step.word(word)), message, help);
            }
        }
    }
}
