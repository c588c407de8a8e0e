//! ML174: a password, written down.

use corten_diagnostic::{RuleId, Severity};

use super::services;
use crate::lint::Compose;
use crate::rules::ml::secrets;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML174"),
    name: "compose-password",
    severity: Severity::Warning,
    what: "A password or token stands in the compose file.",
    why: "It is in the repository for good, and the one for development becomes the one in production. ${NAME} takes it from the environment or from .env, which git ignores; secrets: mounts it as a file, and the images of databases read NAME_FILE.",
    bad: "services:\n  db:\n    image: postgres:17\n    environment:\n      POSTGRES_PASSWORD: correct-horse\n",
    good: "services:\n  db:\n    image: postgres:17\n    environment:\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

/// Of variables, files and switches nothing is said, nor of services that only a profile for development starts.
fn run(compose: &Compose<'_>, found: &mut Found) {
    for (name, service) in compose.services() {
        let profiles = service.get("profiles").map(corten_frontend::yaml::Node::texts).unwrap_or_default();
        if profiles.iter().any(|(profile, _)| ["dev", "development", "test", "debug"].contains(profile)) {
            continue;
        }
        for one in services::environment(service) {
            let value = one.value.as_deref().unwrap_or_default();
            let literals = secrets::literals(value);
            let is_called_so =
                secrets::is_secret_name(&one.name) && !value.contains('$') && !secrets::is_harmless_value(value);
            if is_called_so || !literals.is_empty() {
                let message = format!("service {name} has {} written down", one.name);
                let help = format!("write ${{{}}}, and keep the value in the environment or in .env", one.name);
                found.add(compose.place(one.at), message, help);
            }
        }
    }
}
