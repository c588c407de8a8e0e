//! ML145: the name of a key.

use corten_diagnostic::{RuleId, Severity};

use super::secrets;
use crate::lint::DefinitionKind;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML145"),
    name: "key-name",
    severity: Severity::Error,
    what: "An ARG or ENV is called like a key that hadolint does not know.",
    why: "ENV stands in the image's config, ARG in its history and provenance, also where it has no default: `docker history` shows what it was given. RUN --mount=type=secret,id=name,env=NAME gives it to one RUN and leaves no trace; a service gets it when it starts.",
    bad: "FROM python:3.12-slim\nARG OPENAI_KEY\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN --mount=type=secret,id=openai_key,env=OPENAI_KEY python fetch.py\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// What hadolint has a number for (DL3064), by parts of names in small letters.
const KNOWN: [&str; 7] = ["api_key", "client_key", "password", "private", "secret", "token", "username"];

/// Names of files, numbers and switches are none, nor is what is set to nothing.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for definition in lint.definitions().iter().filter(|one| secrets::is_secret_name(&one.name)) {
        let small = definition.name.to_ascii_lowercase();
        if KNOWN.iter().any(|part| small.contains(part)) {
            continue;
        }
        let kind = if definition.kind == DefinitionKind::Env { "ENV" } else { "ARG" };
        if definition.written.as_deref().is_some_and(|value| kind == "ENV" && secrets::is_harmless_value(value)) {
            continue;
        }
        let (name, id) = (&definition.name, definition.name.to_lowercase());
        let message = format!("{kind} {name} is called like a secret, and everybody who has the image can read it");
        let help = format!("where a build needs it: RUN --mount=type=secret,id={id},env={name} …");
        found.add(lint.place(definition.name_at.clone()), message, help);
    }
}
