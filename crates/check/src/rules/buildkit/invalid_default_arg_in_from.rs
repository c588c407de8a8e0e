//! InvalidDefaultArgInFrom: without arguments given, FROM names no image.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{lines, walk};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("InvalidDefaultArgInFrom"),
    name: "invalid-default-arg-in-from",
    severity: Severity::Warning,
    what: "Default value for global ARG results in an empty or invalid base image name.",
    why: "A plain `docker build .` fails. A default for the argument makes the file build for everybody, and lets tools see what it stands on.",
    bad: "ARG VERSION\nFROM python:${VERSION}\n",
    good: "ARG VERSION=3.12\nFROM python:${VERSION}\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let (Some(Command::From(from)), Some(seen)) = (&line.seen.command, &line.seen.from) else { continue };
        // Like BuildKit: what cannot be expanded at all is an error, and nothing is said of what follows.
        let Some(image) = &seen.by_default else { return };
        if !walk::is_image_name(image) {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", from.image.text);
            found.add(line.at(&from.image), message, "give the ARG before the first FROM a default value");
        }
    }
}
