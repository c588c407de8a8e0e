//! DL3011: EXPOSE names a port beyond 65535.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::tell;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3011"),
    name: "port-range",
    severity: Severity::Error,
    what: "EXPOSE names a port beyond 65535.",
    why: "There is no such port: ports are numbers of 16 bits.",
    bad: "FROM debian:12\n\
          EXPOSE 80000\n",
    good: "FROM debian:12\n\
          EXPOSE 8000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let Some(Command::Expose(ports)) = &step.command else { continue };
        let Some(port) = ports.iter().find(|port| is_beyond(&port.text)) else { continue };
        let message = format!("there is no port {}", port.text);
        tell(lint, found, step, step.word(port), message, "ports are 0 to 65535", None);
    }
}

fn is_beyond(port: &str) -> bool {
    let number = port.split('/').next().unwrap_or_default();
    let digits = |one: &str| !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_digit());
    number.split('-').filter(|one| digits(one)).any(|one| one.parse::<u16>().is_err())
}
