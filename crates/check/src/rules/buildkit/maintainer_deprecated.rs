//! MaintainerDeprecated: MAINTAINER.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("MaintainerDeprecated"),
    name: "maintainer-deprecated",
    severity: Severity::Warning,
    what: "The MAINTAINER instruction is deprecated, use a label instead to define an image author.",
    why: "MAINTAINER sets a field that no tool shows. The label org.opencontainers.image.authors says the same where registries and scanners look.",
    bad: "FROM scratch\nMAINTAINER me@example.org\n",
    good: "FROM scratch\nLABEL org.opencontainers.image.authors=\"me@example.org\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let Some(Command::Maintainer(who)) = &line.seen.command else { continue };
        let label = format!("LABEL org.opencontainers.image.authors=\"{}\"", who.text);
        let message = "Maintainer instruction is deprecated in favor of using label";
        found.add(line.at(&line.instruction.name), message, format!("write {label}"));
    }
}
