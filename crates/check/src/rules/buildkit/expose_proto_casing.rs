//! ExposeProtoCasing: `EXPOSE 80/TCP`.

use corten_diagnostic::{RuleId, Severity};

use super::{lines, port};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ExposeProtoCasing"),
    name: "expose-proto-casing",
    severity: Severity::Warning,
    what: "Protocol in EXPOSE instruction should be lowercase.",
    why: "The config of the image has protocols in small letters; written so, the file and what `docker inspect` shows are the same.",
    bad: "FROM scratch\nEXPOSE 80/TCP\n",
    good: "FROM scratch\nEXPOSE 80/tcp\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        for (text, word) in &line.seen.ports {
            let Some(port) = port(text).filter(|port| port.protocol != port.protocol.to_lowercase()) else { continue };
            let message = format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
            let fix = match word.text.strip_suffix(port.protocol) {
                Some(rest) => {
                    let new = format!("{rest}{}", port.protocol.to_lowercase());
                    safe("write it in small letters", vec![line.edit(word.range.clone(), &new)])
                }
                None => None,
            };
            found.fixed(line.at(word), message, format!("write {}", port.protocol.to_lowercase()), fix);
        }
    }
}
