//! DL3040: the cache of dnf stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::each_run;
use super::managers::Cache;
use super::ran::Plain;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

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
        for (program, clean) in [("dnf", "dnf clean all"), ("microdnf", "microdnf clean all")] {
            let cleans = |command: &Plain| {
                command.has(program, &["clean", "all"]) || command.has("rm", &["-rf", "/var/cache/libdnf5*"])
            };
            if (Cache { program, fills: &VERBS, clean }).tell(lint, found, step, ran, cleans) {
                return;
            }
        }
    });
}
