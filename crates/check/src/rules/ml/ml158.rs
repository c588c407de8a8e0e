//! ML158: a GPU that nobody asks for.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML158"),
    name: "gpu-env",
    severity: Severity::Info,
    what: "Packages for GPUs are installed, and the image does not say that it wants one.",
    why: "NVIDIA's images set NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES, by which container runtimes know that driver and devices have to be brought in. Others do not: without --gpus or CDI such a container finds no GPU.",
    bad: "FROM python:3.12-slim\nRUN pip install --no-cache-dir torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128\nUSER 1000\n",
    good: "FROM python:3.12-slim\nENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility\nRUN pip install --no-cache-dir torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    if lint.definitions().iter().any(|one| one.name.starts_with("NVIDIA_")) {
        return;
    }
    for install in pip::installs(lint) {
        let is_kept = lint.is_kept(install.step);
        let is_other = images::under(lint, install.step)
            .is_some_and(|image| !image.is_for_gpu() && image.brings_framework().is_none());
        let of_index = install.indexes(lint).iter().any(|index| index.contains("/whl/cu"));
        let of_name = |one: &pip::Package<'_>| {
            one.version.contains("+cu") || (one.name != "torch" && tables::brings_cuda(&one.name))
        };
        if is_kept && is_other && (of_index || install.packages.iter().any(of_name)) {
            let message = "packages for GPUs are installed, and the image does not say that it wants one";
            let help = "add ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility";
            let at = lint.above(install.step);
            let line = "ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility\n";
            let fix = unsafe_fix("say that it wants GPUs", vec![lint.edit(at..at, line)]);
            found.fixed(lint.place(install.call.at()), message, help, fix);
            return;
        }
    }
}
