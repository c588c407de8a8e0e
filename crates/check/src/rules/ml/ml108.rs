//! ML108: a platform by dogma.

use corten_diagnostic::{RuleId, Severity};

use super::images;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML108"),
    name: "platform-by-dogma",
    severity: Severity::Info,
    what: "FROM fixes amd64 for an image for GPUs.",
    why: "That images for GPUs are for amd64 alone was true once. nvidia/cuda has manifests for arm64 (SBSA), and torch has had CUDA wheels for aarch64 on PyPI since 2.11, from download.pytorch.org before that. Whether a platform can be built is decided by the wheels and by the base's index, so let --platform of the build choose. pytorch/pytorch has no manifest for arm64.",
    bad: "FROM --platform=linux/amd64 nvidia/cuda:12.8.1-base-ubuntu24.04\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for image in images::all(lint).filter(|image| image.is_for_gpu() && image.repository != "pytorch/pytorch") {
        let (Some(platform), Some(step)) = (&image.stage.platform, lint.steps.get(image.stage.from)) else { continue };
        if ["linux/amd64", "amd64", "linux/x86_64"].contains(&platform.text.as_str()) {
            let message = format!("amd64 is fixed for {}", image.name);
            let help = "leave the flag out and give --platform to the build: the wheels decide what can be built";
            found.add(lint.place(step.word(platform)), message, help);
        }
    }
}
