//! DL4000: MAINTAINER is used.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{quoted, tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4000"),
    name: "maintainer",
    severity: Severity::Error,
    what: "MAINTAINER is used.",
    why: "It is gone from the language since 2017: a label says it, and can be asked for.",
    bad: "FROM debian:12\n\
          MAINTAINER me@example.com\n",
    good: "FROM debian:12\n\
          LABEL org.opencontainers.image.authors=\"me@example.com\"\n",
    aliases: &["MaintainerDeprecated"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Some(Command::Maintainer(name)) = &step.command else { continue };
        let label = "LABEL org.opencontainers.image.authors=";
        let one_line = !lint.text(step.at()).contains('\n');
        let text = quoted(unquoted(&name.text));
        let fix =
            one_line.then(|| safe("write a label", vec![lint.edit(step.at(), format!("{label}{text}"))])).flatten();
        tell(
            lint,
            found,
            step,
            step.name(),
            "MAINTAINER is gone from the language",
            format!("write {label}\"…\""),
            fix,
        );
    }
}
