//! ML110: a distribution that gets no fixes.

use corten_diagnostic::{RuleId, Severity};

use super::images::{self, Image};
use super::tables::{self, Distribution};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML110"),
    name: "distro-eol",
    severity: Severity::Warning,
    what: "The distribution of a base is past its end of life.",
    why: "Its packages get no fixes any more, and its archive moves: one day apt-get update fails. Where Debian's LTS, which is free, still goes on, nothing is said; contracts (Ubuntu Pro, ELTS) are not counted.",
    bad: "# settings: today = [2026, 11, 22]\nFROM ubuntu:18.04\nUSER 1000\n",
    good: "# settings: today = [2026, 11, 22]\nFROM ubuntu:24.04\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(today) = lint.config.today else { return };
    for image in images::all(lint) {
        let Some(step) = lint.steps.get(image.stage.from) else { continue };
        let Some(one) = distribution(&image).filter(|one| one.end < today) else { continue };
        let end = format!("{}-{:02}-{:02}", one.end.year, one.end.month, one.end.day);
        let message = format!("{} {} has had no fixes since {end}", one.name, one.version);
        found.add(lint.place(step.word(&image.stage.image)), message, "take an image that stands on a later one");
    }
}

/// By its own name and tag, or by a codename or `ubuntu22.04` in the tag of another image.
fn distribution(image: &Image<'_>) -> Option<Distribution> {
    let words: Vec<&str> = image.words().collect();
    let is_it = |one: &Distribution| {
        let is_own = image.base_name() == one.name && words.first().is_some_and(|word| is_version(word, one));
        let named = format!("{}{}", one.name, one.version);
        let is_named = words.iter().any(|word| *word == named || (one.codename != "-" && *word == one.codename));
        is_own || is_named
    };
    tables::distributions().find(is_it)
}

/// `11`, `11.6`; `22.04`, `22.04.1`; but `3.1` is not `3.19`.
fn is_version(word: &str, one: &Distribution) -> bool {
    word.strip_prefix(one.version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        || (one.name == "centos" && word.strip_prefix("centos") == Some(one.version))
}
