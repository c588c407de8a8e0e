//! ML108: a GPU is meant, and the wheel for that platform computes on processors alone.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML108"),
    name: "gpu-platform",
    severity: Severity::Warning,
    what: "A GPU is meant, and the wheel for that platform computes on processors alone.",
    why: "The same name and version has CUDA for one processor and none for the other: torch of PyPI has CUDA for arm64 from 2.11 on.",
    bad: "gpu = { lock = ['torch 2.10.0'], platform = 'arm64', driver = '580.65.06', name = 'GH200' }",
    good: "gpu = { lock = ['torch 2.11.0', 'nvidia-cuda-runtime 13.0.96'], platform = 'arm64', driver = '580.65.06', name = 'GH200' }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
