//! DL3032: the cache of yum stays in the layer.

use corten_diagnostic::{RuleId, Severity};

use super::{append, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

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
    each_run(lint, |step, ran| {
        let Some(install) = ran.position(|command| command.has("yum", &["install"])) else { return };
        let clean = ran.position(|command| {
            command.has("yum", &["clean", "all"]) || command.has("rm", &["-rf", "/var/cache/yum/*"])
        });
        if clean.is_some_and(|clean| install < clean) {
            return;
        }
        let at = ran.commands.get(install).map_or(0..0, |command| command.at.clone());
        let fix = clean.is_none().then(|| append(lint, step, "yum clean all")).flatten();
        let fix = fix.and_then(|edit| safe("clean in the same RUN", vec![edit]));
        tell(lint, found, step, at, "yum keeps its cache in this layer", "end this RUN with && yum clean all", fix);
    });
}
