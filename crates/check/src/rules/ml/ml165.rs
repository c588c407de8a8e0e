//! ML165: what an address gives today.

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use corten_diagnostic::{RuleId, Severity};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML165"),
    name: "add-unchecked",
    severity: Severity::Warning,
    what: "ADD fetches an address without --checksum.",
    why: "What an address gives may be another thing tomorrow; --checksum=sha256:… says what is wanted, and lets the cache know without asking.",
    bad: "FROM python:3.12-slim\nADD https://example.com/a.txt /app/\nUSER 1000\n",
    good: "FROM python:3.12-slim\nADD --checksum=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 https://example.com/a.txt /app/\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, copy) in lint.copies().filter(|(_, copy)| copy.add) {
        let address = copy.paths().find(|word| word.text.starts_with("http://") || word.text.starts_with("https://"));
        if let Some(word) = address.filter(|word| copy.checksum.is_none() && !is_repository(&word.text)) {
            let message = format!("{} is fetched without a checksum", word.text);
            found.add(lint.place(step.word(word)), message, "add --checksum=sha256:…");
        }
    }
}

fn is_repository(path: &str) -> bool {
    path.starts_with("git@") || path.contains(".git#") || path.ends_with(".git") || path.starts_with("github.com/")
}
