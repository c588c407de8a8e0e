//! ML127: the image brings CUDA and is to run on processors alone.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML127"),
    name: "needless-cuda",
    severity: Severity::Warning,
    what: "The image brings CUDA and is to run on processors alone.",
    why: "Gigabytes of libraries that nothing will load; wheels for processors are a tenth of the size.",
    bad: "gpu = { lock = ['torch 2.9.1', 'nvidia-cuda-runtime-cu12 12.8.90'], name = 'none' }",
    good: "gpu = { lock = ['torch 2.9.1+cpu'], name = 'none' }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
