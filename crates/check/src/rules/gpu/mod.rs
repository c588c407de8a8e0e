//! Rules about CUDA, its driver and GPUs: what [`crate::cuda::fit`] says, as findings. What runs with less than everything and costs
//! nothing is no finding.

mod cuda_driver;
mod cuda_mix;
mod double_cuda;
mod framework_reinstalled;
mod gpu_architecture;
mod gpu_platform;
mod needless_cuda;

use super::{Found, Rule};
use crate::CheckInput;
use crate::cuda::Answer;

pub(super) use cuda_driver::RULE as CUDA_DRIVER;
pub(super) use cuda_mix::RULE as CUDA_MIX;
pub(super) use double_cuda::RULE as DOUBLE_CUDA;
pub(super) use framework_reinstalled::RULE as FRAMEWORK_REINSTALLED;
pub(super) use gpu_architecture::RULE as GPU_ARCHITECTURE;
pub(super) use gpu_platform::RULE as GPU_PLATFORM;
pub(super) use needless_cuda::RULE as NEEDLESS_CUDA;

/// Those of the reasons that this rule tells.
fn of_fit(input: &CheckInput<'_>, rule: &Rule, found: &mut Found) {
    let of_rule = input.gpu.iter().filter(|reason| reason.rule == rule.id);
    for reason in of_rule.filter(|reason| matches!(reason.answer, Answer::Limited | Answer::No)) {
        let change = match reason.change.is_empty() {
            true => "corten gpu check says more".to_owned(),
            false => reason.change.join("; or "),
        };
        found.add(corten_diagnostic::Place::Plan, reason.what.clone(), change);
    }
}
