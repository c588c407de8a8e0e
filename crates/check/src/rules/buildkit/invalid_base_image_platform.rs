//! InvalidBaseImagePlatform: the image that was found is for another machine.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("InvalidBaseImagePlatform"),
    name: "invalid-base-image-platform",
    severity: Severity::Warning,
    what: "Base image platform does not match expected target platform.",
    why: "A name at a registry may hold an image of one machine alone, and that is taken whatever machine was asked for. What is built on it runs nowhere, or under emulation. Only a build sees it: without the image's config, nothing is said.",
    bad: "# settings: images = { \"x:1\" = \"linux/arm64\" }\nFROM x:1\n",
    good: "# settings: images = { \"x:1\" = \"linux/amd64\" }\nFROM x:1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let (Some(Command::From(from)), Some(seen)) = (&line.seen.command, &line.seen.from) else { continue };
        if let Some((image, has, wanted)) = &seen.other_platform {
            let message =
                format!("Base image {image} was pulled with platform {has:?}, expected {wanted:?} for current build");
            found.add(line.at(&from.image), message, "choose an image for that platform, or build for the other");
        }
    }
}
