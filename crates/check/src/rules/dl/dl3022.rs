//! DL3022: COPY --from names no stage before it.

use corten_diagnostic::{RuleId, Severity};

use super::{copies_from, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3022"),
    name: "copy-from-stage",
    severity: Severity::Warning,
    what: "COPY --from names no stage before it.",
    why: "A misspelled stage is taken for an image, and fetched from wherever that name leads.",
    bad: "FROM debian:12 AS build\n\
          FROM debian:12\n\
          COPY --from=biuld /app /app\n",
    good: "FROM debian:12 AS build\n\
          FROM debian:12\n\
          COPY --from=build /app /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, from) in copies_from(lint) {
        let (name, before) = (unquoted(&from.text), step.stage.map_or(0, |stage| stage + 1));
        let is_stage = |name: &str| lint.stage_named(name, before).is_some();
        let number = name.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
        if !name.contains(':') && !is_stage(name) && !is_stage(number) {
            let message = format!("{name} is no stage before this line");
            let help = "name a stage, or write the image with its tag";
            tell(lint, found, step, step.word(from), message, help, None);
        }
    }
}
