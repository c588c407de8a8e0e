//! DL3050: a label is not one that the settings know.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Pair;

use super::{labels, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3050"),
    name: "label-superfluous",
    severity: Severity::Info,
    what: "A label is not one that the settings know.",
    why: "Where labels are strict, a misspelled one is as good as missing.",
    bad: "# settings: labels = { maintainer = \"text\" }\n\
          # settings: strict-labels = true\n\
          FROM debian:12\n\
          LABEL maintainer=\"me@example.com\" mantainer=\"me@example.com\"\n",
    good: "# settings: labels = { maintainer = \"text\" }\n\
          # settings: strict-labels = true\n\
          FROM debian:12\n\
          LABEL maintainer=\"me@example.com\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    if !lint.config.strict_labels {
        return;
    }
    for (step, pairs) in labels(lint) {
        let unknown = |pair: &&Pair| !lint.config.labels.contains_key(unquoted(&pair.name.text));
        let Some(pair) = pairs.iter().find(unknown) else { continue };
        let message = format!("the settings know no label {}", pair.name.text);
        tell(lint, found, step, step.word(&pair.name), message, "leave it out, or add it to label-schema", None);
    }
}
