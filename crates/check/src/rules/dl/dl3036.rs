//! DL3036: the cache of zypper stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::each_run;
use super::managers::Cache;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3036"),
    name: "zypper-cache",
    severity: Severity::Warning,
    what: "The cache of zypper stays in the layer.",
    why: "It is tens of megabytes that nobody reads again; a later RUN cannot make this layer smaller.",
    bad: "FROM opensuse/leap:15.6\n\
          RUN zypper install -y curl=8.6.0\n",
    good: "FROM opensuse/leap:15.6\n\
          RUN zypper install -y curl=8.6.0 && zypper clean\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let cache = Cache { program: "zypper", fills: &["install", "in"], clean: "zypper clean" };
    each_run(lint, |step, ran| {
        if !ran.keeps("/var/cache/zypp") {
            cache.tell(lint, found, step, ran, |command| command.has("zypper", &["clean", "cc"]));
        }
    });
}
