//! ML105: CUDA twice.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML105"),
    name: "double-cuda",
    severity: Severity::Warning,
    what: "Packages that bring CUDA along are installed on an image that has it, too.",
    why: "The torch of PyPI brings CUDA as nvidia-* packages and loads those: the libraries of the image below are 2 to 6 GB that nothing reads, and a second version to be confused by. Stand on a slim image, or on the -base variant of nvidia/cuda. The driver comes from the host either way.",
    bad: "FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04\nRUN pip install --no-cache-dir torch==2.9.1\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN pip install --no-cache-dir torch==2.9.1\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Those that need the libraries of the system (TensorRT, onnxruntime-gpu) are none; nor are wheels for CPUs.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        let Some(stage) = lint.stage_of(install.step).filter(|stage| lint.is_in_image(stage)) else { continue };
        let Some(image) = images::root(lint, stage) else { continue };
        let has_libraries = image.repository.ends_with("nvidia/cuda") && !image.words().any(|word| word == "base");
        let is_for_cpu = install.indexes(lint).iter().any(|index| index.ends_with("cpu"));
        if !has_libraries || is_for_cpu {
            continue;
        }
        if let Some(package) = install.packages.iter().find(|package| brings_own(package)) {
            let message = format!("{} brings CUDA along, and {} has it, too", package.name, image.name);
            let help = "stand on python:3.x-slim or on the -base variant: two copies of CUDA cost gigabytes";
            found.add(lint.place(package.word.at.clone()), message, help);
        }
    }
}

fn brings_own(package: &pip::Package<'_>) -> bool {
    match package.name.as_str() {
        "torch" | "vllm" | "sglang" => !package.version.ends_with("+cpu"),
        "tensorflow" => package.text.contains("[and-cuda"),
        "jax" => package.text.contains("[cuda"),
        name => name.starts_with("nvidia-") && tables::brings_cuda(name),
    }
}
