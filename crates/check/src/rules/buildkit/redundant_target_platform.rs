//! RedundantTargetPlatform: `--platform=$TARGETPLATFORM`.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("RedundantTargetPlatform"),
    name: "redundant-target-platform",
    severity: Severity::Warning,
    what: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior.",
    why: "FROM takes the image for the platform that is built, without being told. The flag only makes one look for what is special.",
    bad: "FROM --platform=$TARGETPLATFORM scratch\n",
    good: "FROM scratch\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let Some(platform) = line.seen.from.as_ref().and_then(|from| from.platform.as_ref()) else { continue };
        if platform.is_target {
            let message = format!(
                "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                platform.word.text
            );
            let fix = line.without_flag("platform").and_then(|edit| safe("leave the flag out", vec![edit]));
            found.fixed(line.at(&platform.word), message, "leave the flag out", fix);
        }
    }
}
