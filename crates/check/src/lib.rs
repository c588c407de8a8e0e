//! Rules over what is built; policy and verdict.
//!
//! A rule is one file in `rules/`: what it says, why, a bad and a good example, which are its tests, and one function from
//! [`CheckInput`] (an image or plan), [`lint::Lint`] (a Dockerfile) or [`lint::Compose`] to findings. [`check`] asks them all; [`judge`] is the only maker of a [`Verdict`], which publishing demands.

pub mod baseline;
pub mod cuda;
pub mod fix;
mod input;
pub mod lint;
pub mod page;
mod policy;
mod rules;
pub mod shell;

pub use input::{
    BaseFacts, Budget, CheckInput, FileFacts, ForeignFile, LayerFacts, LibrariesFacts, LibraryFacts, LicenceFacts,
    LicencePolicy, LockFacts, PackageFacts, ProjectFacts, PythonFacts, StepFacts, StepLayer,
};
pub use policy::{Policy, Verdict, judge};
pub use rules::{CheckOptions, Warning, end_of_python, warnings};
pub use rules::{Initially, OF_IMAGES, RULES, Rule, Subject, rule, rules};

use corten_diagnostic::Finding;

/// What the rules about steps of Dockerfiles have to say, in the order of the rules.
pub fn check_steps(steps: &[StepFacts]) -> Vec<Finding> {
    let config = corten_oci::ContainerConfig::default();
    rules::OF_STEPS.iter().flat_map(|rule| rule.findings(&CheckInput { steps, ..CheckInput::of(&config) })).collect()
}

/// What the rules about CUDA, its driver and GPUs have to say, by number.
pub fn check_gpu(gpu: &[cuda::Reason]) -> Vec<Finding> {
    let config = corten_oci::ContainerConfig::default();
    let input = CheckInput { gpu, ..CheckInput::of(&config) };
    let speaks = |rule: &&Rule| gpu.iter().any(|reason| reason.rule == rule.id);
    OF_IMAGES.iter().filter(speaks).flat_map(|rule| rule.findings(&input)).collect()
}

/// Is a file called like one that holds secrets? Slashes part its folders.
pub fn is_secret_file(path: &str) -> bool {
    rules::secret_files::is_secret(path)
}

/// Why a variable of an image is a secret: it is called like one, with a value that may be one, or its value looks like one,
/// and is not in the answer.
pub fn why_secret_variable(name: &str, value: &str) -> Option<String> {
    use rules::ml::secrets::{is_harmless_value, is_secret_name, literals};
    if is_secret_name(name) && !is_harmless_value(value) {
        return Some("is called like a secret".to_owned());
    }
    literals(value).into_iter().next().map(|(_, what)| format!("has {what}"))
}

/// What all rules have to say, worst first.
pub fn check(input: &CheckInput<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = OF_IMAGES.iter().flat_map(|rule| rule.findings(input)).collect();
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.rule.cmp(&b.rule)));
    findings
}
