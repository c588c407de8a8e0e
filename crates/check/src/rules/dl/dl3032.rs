//! DL3032: the cache of yum stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::each_run;
use super::managers::Cache;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3032"),
    name: "yum-cache",
    severity: Severity::Warning,
    what: "The cache of yum stays in the layer.",
    why: "It is tens of megabytes that nobody reads again; a later RUN cannot make this layer smaller.",
    bad: "FROM rockylinux:9\n\
          RUN yum install -y httpd-2.4.62\n",
    good: "FROM rockylinux:9\n\
          RUN yum install -y httpd-2.4.62 && yum clean all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let cache = Cache { program: "yum", fills: &["install"], clean: "yum clean all" };
    each_run(lint, |step, ran| {
        cache.tell(lint, found, step, ran, |command| {
            command.has("yum", &["clean", "all"]) || command.has("rm", &["-rf", "/var/cache/yum/*"])
        });
    });
}
