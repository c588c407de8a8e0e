//! ML105: libraries of CUDA lie in the base and in the wheels.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML105"),
    name: "double-cuda",
    severity: Severity::Warning,
    what: "Libraries of CUDA lie in the base and in the wheels.",
    why: "Wheels load their own libraries, so those of the base are gigabytes that are pushed, pulled and stored for nothing; and a program that finds the other copy first breaks in ways that are hard to explain.",
    bad: "gpu = { lock = ['torch 2.9.1', 'nvidia-cuda-runtime-cu12 12.8.90'], twice = true }",
    good: "gpu = { lock = ['torch 2.9.1', 'nvidia-cuda-runtime-cu12 12.8.90'] }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
