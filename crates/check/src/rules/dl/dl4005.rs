//! DL4005: rUN links another shell to /bin/sh.

use corten_diagnostic::{RuleId, Severity};

use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4005"),
    name: "shell-by-link",
    severity: Severity::Warning,
    what: "RUN links another shell to /bin/sh.",
    why: "Programs of the image that need its own sh get another one; SHELL says it for the build alone.",
    bad: "FROM debian:12\n\
          RUN ln -sf /bin/bash /bin/sh\n",
    good: "FROM debian:12\n\
          SHELL [\"/bin/bash\", \"-c\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let Some(command) = ran.commands.iter().find(|command| command.has("ln", &["/bin/sh"])) else { return };
        let help = "write SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]";
        tell(lint, found, step, command.at.clone(), "this changes the shell of the whole image", help, None);
    });
}
