//! ML127: CUDA's libraries where no GPU is meant.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML127"),
    name: "cpu-gets-cuda",
    severity: Severity::Info,
    what: "PyPI's torch is installed, and nothing in the file speaks of a GPU.",
    why: "On x86_64 (and since 2.11 on aarch64) PyPI's torch brings CUDA along: 3 to 4 GB that a CPU never uses. The wheels of download.pytorch.org/whl/cpu are 200 MB. Where a GPU is meant, ENV NVIDIA_VISIBLE_DEVICES=all says so.",
    bad: "FROM python:3.12-slim\nRUN pip install --no-cache-dir torch==2.9.1\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN pip install --no-cache-dir torch==2.9.1 --index-url https://download.pytorch.org/whl/cpu\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let text = lint.file.text().to_lowercase();
    if ["cuda", "nvidia", "gpu", "rocm", "/whl/cu", "+cu"].iter().any(|word| text.contains(word)) {
        return;
    }
    for install in pip::installs(lint) {
        let Some(package) = install.package("torch") else { continue };
        let is_chosen = !install.indexes(lint).is_empty() || package.version.contains('+');
        let is_there = images::under(lint, install.step).is_none_or(|image| image.brings_framework().is_some());
        if !is_chosen && !is_there {
            let help =
                "for CPUs: --index-url https://download.pytorch.org/whl/cpu; for GPUs: ENV NVIDIA_VISIBLE_DEVICES=all";
            // The index of torch has nothing for the others.
            let is_alone = install.files().next().is_none()
                && install
                    .packages
                    .iter()
                    .all(|one| ["torch", "torchvision", "torchaudio"].contains(&one.name.as_str()));
            let end = install.call.at().end;
            let index = lint.edit(end..end, " --index-url https://download.pytorch.org/whl/cpu");
            let stands = install.call.words.last().is_some_and(|word| lint.stands(install.step, word));
            let fix = (is_alone && stands).then(|| unsafe_fix("take the wheels for CPUs", vec![index])).flatten();
            found.fixed(lint.place(package.word.at.clone()), "PyPI's torch brings CUDA along, 3 to 4 GB", help, fix);
        }
    }
}
