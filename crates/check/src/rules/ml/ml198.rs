//! ML198: a port that nobody listens on.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::start;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML198"),
    name: "port-mismatch",
    severity: Severity::Warning,
    what: "EXPOSE names other ports than the service listens on.",
    why: "People who run docker run -P, compose and many platforms send requests to the port that EXPOSE names; nobody answers there.",
    bad: "FROM python:3.12-slim\nEXPOSE 80\nUSER 1000\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    good: "FROM python:3.12-slim\nEXPOSE 8000\nUSER 1000\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Only where both are known.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    let Some(port) = start::of(lint, target).and_then(|start| start.port()) else { return };
    let mut first = None;
    for step in start::steps(lint, target) {
        let Some(Command::Expose(words)) = &step.command else { continue };
        for word in words {
            let Some(text) = lint.expand(step, &word.text) else { return };
            let range = text.split('/').next().unwrap_or_default();
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>()) else { return };
            if (from..=to).contains(&port) {
                return;
            }
            first = first.or(Some((step, word)));
        }
    }
    if let Some((step, word)) = first {
        let message = format!("the service listens on {port}, which EXPOSE does not name");
        found.add(lint.place(step.word(word)), message, format!("write EXPOSE {port}"));
    }
}
