//! DL3064: ARG or ENV has the name of a secret.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{tell, unquoted};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3064"),
    name: "secret-in-env",
    severity: Severity::Warning,
    what: "ARG or ENV has the name of a secret.",
    why: "Values of ENV are in the image, those of ARG in its history: everybody who can fetch it reads them.",
    bad: "FROM debian:12\n\
          ARG GITHUB_TOKEN\n",
    good: "FROM debian:12\n\
          RUN --mount=type=secret,id=github_token cat /run/secrets/github_token > /dev/null\n",
    aliases: &["SecretsUsedInArgOrEnv", "ML141"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Of services, by their documents.
const KNOWN: [&str; 17] = [
    "APPLICATION_KEY",
    "AWS_ACCESS_KEY_ID",
    "CI_DEPLOY_USER",
    "DOCKER_EMAIL",
    "FACEBOOK_APP_ID",
    "FOSSA_API_KEY",
    "HEROKU_API_KEY",
    "HEROKU_API_USER",
    "OKTA_AUTHN_GROUPID",
    "OKTA_CLIENT_ORGURL",
    "OKTA_OAUTH2_CLIENTID",
    "STRIPE_API_KEY",
    "STRIPE_DEVICE_NAME",
    "TRAVIS_OS_NAME",
    "TRAVIS_SUDO",
    "AWS_SECRET_ACCESS_KEY",
    "VAULT_CLIENT_KEY",
];
/// In small letters, anywhere in a name.
const PARTS: [&str; 7] = ["api_key", "client_key", "password", "private", "secret", "token", "username"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let names: Vec<_> = match step.meant() {
            Some(Command::Arg(all)) => all.iter().map(|(name, _)| name).collect(),
            Some(Command::Env(pairs)) => pairs.iter().map(|pair| &pair.name).collect(),
            _ => continue,
        };
        let Some(name) = names.into_iter().find(|name| is_secret(unquoted(&name.text))) else { continue };
        let message = format!("{} looks like a secret, and everybody who has the image can read it", name.text);
        let help = "mount it where it is needed: RUN --mount=type=secret,id=…";
        tell(lint, found, step, step.word(name), message, help, None);
    }
}

fn is_secret(name: &str) -> bool {
    let (upper, lower) = (name.to_ascii_uppercase(), name.to_ascii_lowercase());
    !is_harmless(&upper) && (KNOWN.contains(&upper.as_str()) || PARTS.iter().any(|part| lower.contains(part)))
}

/// Paths to secrets, the words and numbers of language models, and who somebody is.
fn is_harmless(upper: &str) -> bool {
    let path = ["_FILE", "_PATH", "_DIR"].iter().any(|end| upper.ends_with(end));
    let model = upper.starts_with("TOKENIZER") || upper.contains("MAX_") && upper.contains("TOKENS");
    path || model || upper == "USERNAME"
}
