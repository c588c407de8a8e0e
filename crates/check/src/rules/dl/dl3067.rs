//! DL3067: COPY takes the whole file system of another stage.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Word;

use super::{copies, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3067"),
    name: "copy-whole-stage",
    severity: Severity::Warning,
    what: "COPY takes the whole file system of another stage.",
    why: "Everything comes along, tools and caches of the build too, as one large layer: begin FROM that stage, or copy what is needed.",
    bad: "FROM debian:12 AS build\n\
          FROM scratch\n\
          COPY --from=build / /\n",
    good: "FROM debian:12 AS build\n\
          FROM scratch\n\
          COPY --from=build /app /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, copy) in copies(lint).filter(|(_, copy)| copy.from.is_some()) {
        let is_root = |path: &Word| unquoted(&path.text) == "/";
        if copy.paths().any(is_root) && is_root(&copy.destination) {
            let help = "copy what is needed, or begin FROM that stage";
            tell(lint, found, step, step.name(), "this takes everything of the other stage", help, None);
        }
    }
}
