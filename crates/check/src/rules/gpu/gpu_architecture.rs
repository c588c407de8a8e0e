//! ML113: the libraries have no code for the GPU.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML113"),
    name: "gpu-architecture",
    severity: Severity::Warning,
    what: "The libraries have no code for the GPU.",
    why: "Machine code runs on GPUs of the same major compute capability, the same minor one or later; for others there must be PTX, and a driver that compiles it. Else the first kernel fails: no kernel image is available for execution on the device.",
    bad: "gpu = { lock = ['torch 2.6.0', 'nvidia-cuda-runtime-cu12 12.4.127'], driver = '570.133.20', name = 'RTX 5090' }",
    good: "gpu = { lock = ['torch 2.8.0', 'nvidia-cuda-runtime-cu12 12.8.90'], driver = '570.133.20', name = 'RTX 5090' }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
