//! DL3009: apt's lists stay in the layer.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{Call, Script};

pub(super) const RULE: Rule = Rule {
    id: RuleId("DL3009"),
    name: "apt-lists-kept",
    severity: Severity::Info,
    what: "A RUN that calls apt-get update leaves the lists of packages in its layer.",
    why: "They are tens of megabytes that nothing reads again, and a later RUN cannot take them out of this layer.",
    bad: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=7.88.1-10\n",
    good: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=7.88.1-10 && rm -rf /var/lib/apt/lists/*\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in lint.runs() {
        let calls = script.calls();
        let Some(update) = calls.iter().find(|call| call.is_any(&["apt-get", "apt"]) && call.verb_is("update")) else {
            continue;
        };
        if calls.iter().any(removes_lists) || has_cache_mount(step) {
            continue;
        }
        let end = lint.edit(end_of(script)..end_of(script), " && rm -rf /var/lib/apt/lists/*");
        found.fixed(
            lint.place(update.at()),
            "apt-get update leaves its lists in the layer",
            "end the same RUN with rm -rf /var/lib/apt/lists/*",
            safe("remove the lists in the same RUN", vec![end]),
        );
    }
}

fn removes_lists(call: &Call<'_>) -> bool {
    call.is("rm") && call.arguments().iter().any(|word| word.shown().starts_with("/var/lib/apt/lists"))
}

fn has_cache_mount(step: &Step<'_>) -> bool {
    let Some(Command::Run(run)) = step.meant() else { return false };
    run.mounts.iter().any(|mount| mount.text.contains("/var/lib/apt") || mount.text.contains("type=tmpfs"))
}

fn end_of(script: &Script) -> usize {
    script.list.items.last().map_or(script.at.end, |item| item.pipeline.at.end)
}
