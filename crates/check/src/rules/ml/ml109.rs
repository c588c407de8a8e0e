//! ML109: a Python that gets no fixes.

use corten_diagnostic::{RuleId, Severity};

use super::{images, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Call, Word};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML109"),
    name: "python-eol",
    severity: Severity::Warning,
    what: "The version of Python is past its end of life.",
    why: "Holes that are found are no longer closed, and new versions of packages leave it out. Distributions go on fixing the Python that they come with: that of Debian or Ubuntu is not meant.",
    bad: "# settings: today = [2026, 11, 22]\nFROM python:3.8-slim\nUSER 1000\n",
    good: "# settings: today = [2026, 11, 22]\nFROM python:3.12-slim\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Today comes from the caller, so that the same file has the same findings on the same day everywhere.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for image in images::all(lint) {
        let (Some(version), Some(step)) = (image.python(), lint.steps.get(image.stage.from)) else { continue };
        tell(lint, found, step.word(&image.stage.image), &version);
    }
    for (_, call) in lint.calls() {
        let named = if call.is_any(&["conda", "mamba", "micromamba"]) { conda(&call) } else { others(&call) };
        if let Some((word, version)) = named {
            tell(lint, found, word.at.clone(), &version);
        }
    }
}

fn tell(lint: &Lint<'_>, found: &mut Found, range: std::ops::Range<usize>, version: &str) {
    let (Some(today), Some(end)) = (lint.config.today, tables::end_of_python(version)) else { return };
    if end < today {
        let message = format!("Python {version} has had no fixes since {end}");
        found.add(lint.place(range), message, "take a version that has some years before it, as 3.13");
    }
}

/// `conda create -n x python=3.8`.
fn conda<'s>(call: &Call<'s>) -> Option<(&'s Word, String)> {
    let version = |word: &'s Word| {
        let text = word.literal()?;
        let version = text.strip_prefix("python")?.trim_start_matches(['=', '~', ' ']).to_owned();
        text.contains('=').then(|| Some((word, images::minor(&version)?))).flatten()
    };
    call.arguments().iter().find_map(version)
}

/// `uv python install 3.8`, `uv venv --python 3.8`, `pyenv install 3.8.20`.
fn others<'s>(call: &Call<'s>) -> Option<(&'s Word, String)> {
    let is_python =
        (call.is("uv") && call.has_any(&["python", "venv"])) || (call.is("pyenv") && call.verb_is("install"));
    let version = |word: &'s Word| Some((word, images::minor(&word.literal()?)?));
    if is_python { call.arguments().iter().find_map(version) } else { None }
}
