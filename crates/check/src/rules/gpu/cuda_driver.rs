//! ML107: the CUDA of the image does not start on the driver.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML107"),
    name: "cuda-driver",
    severity: Severity::Warning,
    what: "The CUDA of the image does not start on the driver.",
    why: "CUDA 11 runs on drivers from 450.80.02 on, CUDA 12 from 525.60.13 on, CUDA 13 from 580.65.06 on; the driver that nvidia-smi names beside a CUDA version is not the minimum. Nothing checks that before the first call on the GPU.",
    bad: "gpu = { lock = ['torch 2.11.0', 'nvidia-cuda-runtime 13.0.96'], driver = '570.133.20', name = 'H100' }",
    good: "gpu = { lock = ['torch 2.10.0', 'nvidia-cuda-runtime-cu12 12.8.90'], driver = '570.133.20', name = 'H100' }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
