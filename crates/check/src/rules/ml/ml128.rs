//! ML128: a framework over a framework.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML128"),
    name: "framework-reinstalled",
    severity: Severity::Warning,
    what: "A framework is installed on an image that has it.",
    why: "Both lie in the image, the second over the first: gigabytes twice, and what the image's makers compiled for it (NCCL, apex, flash-attn) is for the version that is gone. Take the version that is there, or a base without it. NGC's images have a constraint file that holds pip to what is there.",
    bad: "FROM pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime\nRUN pip install --no-cache-dir torch==2.5.1\nUSER 1000\n",
    good: "FROM pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime\nRUN pip install --no-cache-dir torch==2.4.1\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        let Some(image) = images::under(lint, install.step) else { continue };
        let package = image.brings_framework().and_then(|framework| install.package(framework));
        let Some(package) = package.filter(|_| !install.has("constraint")) else { continue };
        // Without a version, what is there is enough for pip.
        let version = package.version.strip_prefix("==").map(|version| version.split('+').next().unwrap_or_default());
        let is_same = version.is_none_or(|version| image.words().any(|word| word == version) || version.is_empty());
        if (!is_same || install.has("upgrade") || install.has("U")) && version.is_some() {
            let message = format!("{} is installed over the one of {}", package.name, image.name);
            found.add(
                lint.place(package.word.at.clone()),
                message,
                "take the version that is there, or a base without it",
            );
        }
    }
}
