//! DL3036: the cache of zypper stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::{append, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

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
    each_run(lint, |step, ran| {
        let Some(install) = ran.position(|command| command.has("zypper", &["install", "in"])) else { return };
        let clean = ran.position(|command| command.has("zypper", &["clean", "cc"]));
        if ran.keeps("/var/cache/zypp") || clean.is_some_and(|clean| install < clean) {
            return;
        }
        let at = ran.commands.get(install).map_or(0..0, |command| command.at.clone());
        let fix = clean.is_none().then(|| append(lint, step, "zypper clean")).flatten();
        let fix = fix.and_then(|edit| safe("clean in the same RUN", vec![edit]));
        tell(lint, found, step, at, "zypper keeps its cache in this layer", "end this RUN with && zypper clean", fix);
    });
}
