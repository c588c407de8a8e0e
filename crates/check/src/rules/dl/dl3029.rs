//! DL3029: FROM has a constant --platform.

use corten_diagnostic::{RuleId, Severity};

use super::{behind, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3029"),
    name: "constant-platform",
    severity: Severity::Warning,
    what: "FROM has a constant --platform.",
    why: "The image is for that platform whatever is asked for: on others it is emulated, or does not start.",
    bad: "FROM --platform=linux/amd64 debian:12\n",
    good: "FROM debian:12\n",
    aliases: &["FromPlatformFlagConstDisallowed"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Some(platform) = step.from().and_then(|from| from.platform.as_ref()) else { continue };
        if platform.text.contains("BUILDPLATFORM") || platform.text.contains("TARGETPLATFORM") {
            continue;
        }
        let message = format!("the stage is for {} whatever is asked for", platform.text);
        let fix = behind(lint, step, platform).and_then(|edit| unsafe_fix("leave the flag out", vec![edit]));
        let help =
            "leave it out, and choose with --platform of the build; $BUILDPLATFORM is for tools that run in the build";
        tell(lint, found, step, step.word(platform), message, help, fix);
    }
}
