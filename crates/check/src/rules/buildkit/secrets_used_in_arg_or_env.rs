//! SecretsUsedInArgOrEnv: the name of an ARG or ENV sounds like a secret.

use corten_diagnostic::{RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("SecretsUsedInArgOrEnv"),
    name: "secrets-used-in-arg-or-env",
    severity: Severity::Warning,
    what: "Sensitive data should not be used in the ARG or ENV commands.",
    why: "What ENV sets stands in the config of the image, what ARG gets in its history and in the provenance: `docker history` shows it to everybody who can pull. A secret mount (RUN --mount=type=secret) leaves no trace.",
    bad: "FROM scratch\nARG API_TOKEN\n",
    good: "FROM scratch\nRUN --mount=type=secret,id=api_token,env=API_TOKEN fetch\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        let kind = line.instruction.keyword.name();
        for (name, word) in line.seen.names.iter().filter(|(name, _)| is_secret(name)) {
            let message = format!("Do not use ARG or ENV instructions for sensitive data ({kind} {name:?})");
            let id = name.to_lowercase();
            let help = format!("take it as a secret where it is needed: RUN --mount=type=secret,id={id},env={name} …");
            found.add(line.at(word), message, help);
        }
    }
}

/// BuildKit's words, between `_` or the ends of the name (`dockerfile2llb/validations.go`).
fn is_secret(name: &str) -> bool {
    const SECRET: [&str; 10] =
        ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
    const HARMLESS: [&str; 3] = ["public", "file", "version"];
    let has = |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    has(&SECRET) && !has(&HARMLESS)
}
