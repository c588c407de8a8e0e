//! DL3035: RUN upgrades the whole distribution.

use corten_diagnostic::{RuleId, Severity};

use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3035"),
    name: "zypper-dist-upgrade",
    severity: Severity::Warning,
    what: "RUN upgrades the whole distribution.",
    why: "It changes all of the base, in a layer on top of it; the version of the base's tag is then not what is in it.",
    bad: "FROM opensuse/leap:15.5\n\
          RUN zypper -n dist-upgrade\n",
    good: "FROM opensuse/leap:15.6\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all = ran.commands.iter().find(|command| command.has("zypper", &["dist-upgrade", "dup"]));
        let Some(command) = all else { return };
        let help = "take a newer base";
        tell(lint, found, step, command.at.clone(), "this upgrades the whole distribution", help, None);
    });
}
