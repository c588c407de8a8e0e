//! ExposeInvalidFormat: EXPOSE with an address or a port of the host.

use corten_diagnostic::{RuleId, Severity};

use super::{lines, port};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ExposeInvalidFormat"),
    name: "expose-invalid-format",
    severity: Severity::Warning,
    what: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release.",
    why: "EXPOSE says on which port the container listens, and nothing of the host: that is `docker run -p`. Address and host's port are read and thrown away; the fix leaves them out.",
    bad: "FROM scratch\nEXPOSE 127.0.0.1:8080:80\n",
    good: "FROM scratch\nEXPOSE 80\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        for (text, word) in &line.seen.ports {
            let Some(port) = port(text).filter(|port| port.has_host) else { continue };
            let message =
                format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'");
            let edit = (*text == word.text).then(|| line.edit(word.range.clone(), port.container));
            let fix = edit.and_then(|edit| safe("leave the container's port alone", vec![edit]));
            found.fixed(line.at(word), message, format!("write {}", port.container), fix);
        }
    }
}
