//! ML104: CUDA's compilers in the image that runs.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML104"),
    name: "cuda-devel-final",
    severity: Severity::Warning,
    what: "The image stands on a devel variant of CUDA.",
    why: "A devel image holds compilers, headers and static libraries: 3 to 7 GB that a running service never reads. Compile in a stage of its own and stand on runtime or base. Whoever compiles when it runs (torch.compile with new kernels, DeepSpeed, Triton) needs a compiler: then this is no mistake.",
    bad: "FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\nCOPY app /app\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04\nCOPY app /app\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Packages that compile when they run.
const COMPILERS: [&str; 9] =
    ["deepspeed", "triton", "vllm", "sglang", "flash-attn", "flashinfer-python", "tensorrt-llm", "ninja", "cupy"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(image) = lint.target().and_then(|stage| images::root(lint, stage)) else { return };
    let is_devel = image.is_for_gpu() && image.words().any(|word| word == "devel");
    let compiles =
        |install: &pip::Install<'_>| install.packages.iter().any(|one| COMPILERS.contains(&one.name.as_str()));
    let is_for_work = lint.file.path().to_string_lossy().contains("devcontainer");
    if !is_devel || is_for_work || pip::installs(lint).iter().any(compiles) {
        return;
    }
    let Some(step) = lint.steps.get(image.stage.from) else { return };
    let range = step.word(&image.stage.image);
    let written = &image.stage.image.text;
    let fix = written.find("-devel").and_then(|at| {
        let start = range.start + at + 1;
        let is_there = lint.text(start..start + 5) == "devel";
        is_there.then(|| unsafe_fix("stand on runtime", vec![lint.edit(start..start + 5, "runtime")])).flatten()
    });
    let message = format!("the image stands on {}, with compilers and headers", image.name);
    found.fixed(
        lint.place(range),
        message,
        "compile in a stage of its own, and stand on the runtime or base variant",
        fix,
    );
}
