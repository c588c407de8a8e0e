//! ML106: wheels are made for a CUDA that is not there, or of another major version than the base has.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML106"),
    name: "cuda-mix",
    severity: Severity::Warning,
    what: "Wheels are made for a CUDA that is not there, or of another major version than the base has.",
    why: "A library of CUDA 12 is not found by what is made for CUDA 11 or 13. Minor versions do not matter.",
    bad: "gpu = { lock = ['onnxruntime-gpu 1.22.0'], base = '11.8.0' }",
    good: "gpu = { lock = ['onnxruntime-gpu 1.22.0'], base = '12.4.1' }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
