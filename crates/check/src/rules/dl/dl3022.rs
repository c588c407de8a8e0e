//! DL3022: cOPY --from names no stage before it.

use std::collections::HashSet;

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{tell, unquoted};
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
    let mut names: HashSet<&str> = HashSet::new();
    for step in &lint.steps {
        names.extend(step.from().and_then(|from| from.name.as_ref()).map(|name| name.text.as_str()));
        let Some(Command::Copy(copy)) = &step.command else { continue };
        let Some(from) = copy.from.as_ref().filter(|_| !copy.add) else { continue };
        let (name, before) = (unquoted(&from.text), step.stage.map_or(0, |stage| stage + 1));
        let named = names.contains(name.to_ascii_lowercase().as_str());
        let digits = name.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(name.len());
        let numbered = name.get(..digits).and_then(|number| number.parse::<usize>().ok()).is_some_and(|at| at < before);
        if !name.contains(':') && !named && !numbered {
            let message = format!("{name} is no stage before this line");
            let help = "name a stage, or write the image with its tag";
            tell(lint, found, step, step.word(from), message, help, None);
        }
    }
}
