//! DL3040: the cache of dnf stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::{append, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3040"),
    name: "dnf-cache",
    severity: Severity::Warning,
    what: "The cache of dnf stays in the layer.",
    why: "It is tens of megabytes that nobody reads again; a later RUN cannot make this layer smaller.",
    bad: "FROM fedora:42\n\
          RUN dnf install -y httpd-2.4.63\n",
    good: "FROM fedora:42\n\
          RUN dnf install -y httpd-2.4.63 && dnf clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const VERBS: [&str; 8] = ["install", "in", "upgrade", "up", "upgrade-minimal", "up-min", "reinstall", "rei"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        if ran.keeps("/var/cache/libdnf5") || ran.keeps(".cache/libdnf5") {
            return;
        }
        for program in ["dnf", "microdnf"] {
            let Some(install) = ran.position(|command| command.has(program, &VERBS)) else { continue };
            let clean = ran.position(|command| {
                command.has(program, &["clean", "all"]) || command.has("rm", &["-rf", "/var/cache/libdnf5*"])
            });
            if clean.is_some_and(|clean| install < clean) {
                continue;
            }
            let at = ran.commands.get(install).map_or(0..0, |command| command.at.clone());
            let end = format!("{program} clean all");
            let fix = clean.is_none().then(|| append(lint, step, &end)).flatten();
            let fix = fix.and_then(|edit| safe("clean in the same RUN", vec![edit]));
            let message = format!("{program} keeps its cache in this layer");
            tell(lint, found, step, at, message, format!("end this RUN with && {end}"), fix);
            return;
        }
    });
}
