//! ML143: a secret, written down.

use corten_diagnostic::{RuleId, Severity};

use super::secrets;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML143"),
    name: "secret-literal",
    severity: Severity::Error,
    what: "A token, key or password stands in the Dockerfile.",
    why: "It is in the repository, in the history of the image and in every log of a build. Revoke it, and give the next one by a secret mount. What is told here shows only how it begins.",
    bad: "FROM python:3.12-slim\nRUN curl -H 'Authorization: Bearer hf_abcdefghijklmnopqrstuvwxyzABCDEFGH' https://huggingface.co/x\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN --mount=type=secret,id=hf,env=HF_TOKEN curl -H \"Authorization: Bearer $HF_TOKEN\" https://huggingface.co/x\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Placeholders and variables are none.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let help = "revoke it, and mount the next one: RUN --mount=type=secret,id=…,env=…";
    for step in &lint.steps {
        let mut told = Vec::new();
        for (range, what) in secrets::literals(&step.line().text) {
            told.push((step.place(range), what));
        }
        for heredoc in &step.instruction.heredocs {
            let own = secrets::literals(&heredoc.content).into_iter();
            told.extend(own.map(|(range, what)| (heredoc.at + range.start..heredoc.at + range.end, what)));
        }
        let calls = step.script.as_ref().map(|script| script.calls()).unwrap_or_default();
        for (word, what) in calls.iter().filter_map(secrets::given) {
            // A file of nothing else has been told of often enough.
            let is_new = told.len() < 100
                && told.iter().all(|(range, _)| range.end <= word.at.start || word.at.end <= range.start);
            if is_new {
                told.push((word.at.clone(), what));
            }
        }
        for (range, what) in told {
            found.add(lint.place(range), format!("{what} stands here for everybody to read"), help);
        }
    }
}
