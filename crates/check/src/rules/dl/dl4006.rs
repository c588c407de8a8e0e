//! DL4006: RUN has a pipe, and the shell does not look at what fails in it.

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::image::{is_debian, lowest};
use super::{pipefail_of, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4006"),
    name: "pipefail",
    severity: Severity::Warning,
    what: "RUN has a pipe, and the shell does not look at what fails in it.",
    why: "Of `wget … | tar x` only tar's end counts: a download that fails goes unseen, and the build goes on with half a file.",
    bad: "FROM debian:12\n\
          RUN wget -qO- https://example.com/a.tgz | tar -xz\n",
    good: "FROM debian:12\n\
          SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n\
          RUN wget -qO- https://example.com/a.tgz | tar -xz\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut looks = false;
    // One SHELL in a stage mends all that follow.
    let mut told = false;
    for step in &lint.steps {
        match &step.command {
            Some(Command::From(_)) => (looks, told) = (false, false),
            Some(Command::Shell(words)) => (looks, told) = (pipefail_of(words), true),
            Some(Command::Run(_)) if !looks => {
                let piped = lint.ran_of(step).is_some_and(|ran| ran.piped);
                if piped {
                    let fix = shell_before(lint, step).filter(|_| !told);
                    let help =
                        "write SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"] before it, /bin/ash on Alpine";
                    let message = "what fails in this pipe goes unseen, but for its last command";
                    tell(lint, found, step, step.name(), message, help, fix);
                }
            }
            _ => {}
        }
    }
}

/// A line before the RUN. Every Debian has bash, and busybox's ash knows pipefail: of other bases somebody has to tell.
fn shell_before(lint: &Lint<'_>, step: &Step<'_>) -> Option<Fix> {
    let image = lowest(lint, step)?;
    let shell = if image.contains("alpine") || image.contains("busybox") { "/bin/ash" } else { "/bin/bash" };
    let known = is_debian(image) || image.contains("alpine") && !image.contains("distroless");
    let at = lint.above(step);
    let line = format!("SHELL [\"{shell}\", \"-o\", \"pipefail\", \"-c\"]\n");
    let edits = vec![lint.edit(at..at, line)];
    let title = format!("let {shell} look at all of a pipe");
    if known { safe(title, edits) } else { unsafe_fix(title, edits) }
}
