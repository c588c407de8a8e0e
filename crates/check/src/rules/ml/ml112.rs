//! ML112: packages of Anaconda's own channel.

use corten_diagnostic::{RuleId, Severity};

use super::images;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML112"),
    name: "default-channel",
    severity: Severity::Info,
    what: "Packages come from Anaconda's default channel.",
    why: "Its terms ask organisations of more than 200 people for a paid licence. conda-forge is free for everybody; miniforge and micromamba take from there.",
    bad: "FROM continuumio/miniconda3:24.9.2-0\nRUN conda install -y numpy=2.1 && conda clean -afy\nUSER 1000\n",
    good: "FROM condaforge/miniforge3:24.9.2-0\nRUN conda install -y numpy=2.1 && conda clean -afy\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// A `.condarc`, `conda config` or `-c` may say otherwise.
fn run(lint: &Lint<'_>, found: &mut Found) {
    let says_channels = |text: &str| ["condarc", "conda config", "channels"].iter().any(|word| text.contains(word));
    if lint.steps.iter().any(|step| says_channels(&step.line().text)) {
        return;
    }
    let from_default = lint.calls().find(|(step, call)| {
        let is_of_anaconda =
            images::under(lint, step).is_some_and(|image| image.repository.starts_with("continuumio/"));
        let installs = call.is("conda") && (call.verb_is("install") || call.verb_is("create"));
        is_of_anaconda && installs && !call.has_flag(&["c", "channel", "override-channels"])
    });
    if let Some((_, call)) = from_default {
        let message =
            "packages come from Anaconda's default channel, whose terms ask larger organisations for a licence";
        found.add(
            lint.place(call.at()),
            message,
            "stand on condaforge/miniforge3, or say -c conda-forge --override-channels",
        );
    }
}
