//! DL3060: the cache of yarn stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::{Kept, append, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3060"),
    name: "yarn-cache",
    severity: Severity::Info,
    what: "The cache of yarn stays in the layer.",
    why: "The packages lie in the image twice then; a later RUN cannot make this layer smaller.",
    bad: "FROM node:22\n\
          RUN yarn install\n",
    good: "FROM node:22\n\
          RUN yarn install && yarn cache clean\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let kept = Kept::of(lint);
    each_run(lint, |step, ran| {
        let Some(install) = ran.position(|command| command.has("yarn", &["install"])) else { return };
        let clean = ran.position(|command| command.has("yarn", &["cache", "clean"]));
        let stays = clean.is_none() && !ran.keeps(".cache/yarn") || clean.is_some_and(|clean| clean < install);
        if !stays || !kept.has(step) {
            return;
        }
        let at = ran.commands.get(install).map_or(0..0, |command| command.at.clone());
        let fix = clean.is_none().then(|| append(lint, step, "yarn cache clean")).flatten();
        let fix = fix.and_then(|edit| safe("clean in the same RUN", vec![edit]));
        let help = "end this RUN with && yarn cache clean, or mount a cache";
        tell(lint, found, step, at, "yarn keeps its cache in this layer", help, fix);
    });
}
