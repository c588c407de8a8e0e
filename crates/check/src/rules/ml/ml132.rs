//! ML132: apt's lists from another day.

use corten_diagnostic::{RuleId, Severity};

use super::{ordinary_runs, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Call;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML132"),
    name: "apt-layer",
    severity: Severity::Warning,
    what: "A RUN of its own has apt-get update.",
    why: "Its layer is cached: a later apt-get install takes lists of weeks ago and asks for versions that have left the archive. In one RUN, both are done anew together.",
    bad: "FROM debian:12\nRUN apt-get update\nRUN apt-get install -y --no-install-recommends curl=7.88.1-10+deb12u14 && rm -rf /var/lib/apt/lists/*\nUSER 1000\n",
    good: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=7.88.1-10+deb12u14 && rm -rf /var/lib/apt/lists/*\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// With a cache mount on the lists, they are no layer; scripts may install what is not seen.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in ordinary_runs(lint) {
        let calls = script.calls();
        let is_apt = |call: &&Call<'_>| call.is_any(&["apt-get", "apt", "aptitude"]);
        let update = calls.iter().find(|call| is_apt(call) && call.verb_is("update"));
        let more = calls.iter().any(|call| (is_apt(&call) && !call.verb_is("update")) || call.name.ends_with(".sh"));
        let Some(update) = update.filter(|_| !more && !pip::has_cache(step, &["/apt"])) else { continue };
        let installs = |call: &Call<'_>| is_apt(&call) && call.verb_is("install");
        let later =
            lint.calls().any(|(one, call)| one.stage == step.stage && one.number > step.number && installs(&call));
        if later {
            let message = "apt-get update is cached apart from the apt-get install that needs it";
            found.add(lint.place(update.at()), message, "write apt-get update && apt-get install … in one RUN");
        }
    }
}
