//! DL3009: the lists of apt stay in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{Kept, append, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3009"),
    name: "apt-lists-kept",
    severity: Severity::Info,
    what: "The lists of apt stay in the layer.",
    why: "They are tens of megabytes that nobody reads again; a later RUN cannot make this layer smaller.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const CLEAN: &str = "rm -rf /var/lib/apt/lists/*";

fn run(lint: &Lint<'_>, found: &mut Found) {
    let kept = Kept::of(lint);
    each_run(lint, |step, ran| {
        let both = ran.keeps("/var/lib/apt") && ran.keeps("/var/cache/apt");
        if ran.keeps("/var/lib/apt/lists") || both || !kept.has(step) {
            return;
        }
        let Some(update) = ran.commands.iter().find(|command| updates(command)) else { return };
        if ran.commands.iter().any(|command| command.has("rm", &["-rf", "/var/lib/apt/lists/*"])) {
            return;
        }
        let fix = append(lint, step, CLEAN).and_then(|edit| safe("delete the lists in the same RUN", vec![edit]));
        let help = format!("end this RUN with && {CLEAN}");
        tell(lint, found, step, update.at.clone(), "the lists of apt stay in this layer", help, fix);
    });
}

fn updates(command: &Plain) -> bool {
    ["apt", "apt-get", "aptitude"].iter().any(|name| command.has(name, &["update"]))
}
