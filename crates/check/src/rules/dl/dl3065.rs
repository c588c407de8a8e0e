//! DL3065: FROM says the platform that it has anyway.

use corten_diagnostic::{RuleId, Severity};

use super::{behind, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3065"),
    name: "redundant-platform",
    severity: Severity::Warning,
    what: "FROM says the platform that it has anyway.",
    why: "What FROM does without the flag is `--platform=$TARGETPLATFORM`.",
    bad: "FROM --platform=$TARGETPLATFORM debian:12\n",
    good: "FROM debian:12\n",
    aliases: &["RedundantTargetPlatform"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Some(platform) = step.from().and_then(|from| from.platform.as_ref()) else { continue };
        if !matches!(platform.text.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
            continue;
        }
        let fix = behind(lint, step, platform).and_then(|edit| safe("leave the flag out", vec![edit]));
        tell(lint, found, step, step.word(platform), "FROM does this without the flag", "leave it out", fix);
    }
}
