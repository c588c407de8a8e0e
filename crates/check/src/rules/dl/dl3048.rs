//! DL3048: a label has a name that is none.

use corten_diagnostic::{RuleId, Severity};

use super::{labels, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3048"),
    name: "label-key",
    severity: Severity::Info,
    what: "A label has a name that is none.",
    why: "Names of labels are small letters, digits, dots and dashes, as in a domain turned round; others collide, or cannot be asked for.",
    bad: "FROM debian:12\n\
          LABEL +example=\"text\"\n",
    good: "FROM debian:12\n\
          LABEL org.opencontainers.image.title=\"text\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, pairs) in labels(lint) {
        let Some(pair) = pairs.iter().find(|pair| !is_valid(unquoted(&pair.name.text))) else { continue };
        let message = format!("{} is no name of a label", pair.name.text);
        let help = "take small letters, digits, '.' and '-', a letter first: com.example.name";
        tell(lint, found, step, step.word(&pair.name), message, help, None);
    }
}

fn is_valid(name: &str) -> bool {
    let small = |letter: char| letter.is_ascii_lowercase();
    let known = |letter: char| small(letter) || letter.is_ascii_digit() || matches!(letter, '.' | '-' | '_' | '/');
    let reserved = ["com.docker.", "io.docker.", "org.dockerproject."].iter().any(|start| name.starts_with(start));
    let ends = |letter: char| small(letter) || letter.is_ascii_digit();
    name.starts_with(small)
        && name.ends_with(ends)
        && name.chars().all(known)
        && !reserved
        && !name.contains("..")
        && !name.contains("--")
}
