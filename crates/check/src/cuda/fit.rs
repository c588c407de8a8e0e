//! The judgement: one answer, and the reasons for it.

use corten_diagnostic::RuleId;

use super::alternatives::alternatives;
use super::architectures::{codes, compiles};
use super::contents::Contents;
use super::drivers::{drivers, knows, required};
use super::gpu::Gpu;
use super::version::DriverVersion;

/// What an image is to run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Version of the driver, where it is known.
    pub driver: Option<DriverVersion>,
    /// GPUs; each has to fit.
    pub gpus: Vec<Gpu>,
    /// It is to run on processors alone.
    pub without_gpu: bool,
}

/// How well something fits, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It runs.
    Fits,
    /// It runs, with something missing.
    Limited,
    /// Too little is known.
    Unknown,
    /// It does not run.
    No,
}

impl Answer {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Limited => "limited",
            Self::Unknown => "unknown",
            Self::No => "no",
        }
    }
}

/// One thing that speaks for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The rule that it belongs to.
    pub rule: RuleId,
    /// What it alone means.
    pub answer: Answer,
    /// In a sentence.
    pub what: String,
    /// What that rests on.
    pub evidence: Vec<String>,
    /// What would help, best first.
    pub change: Vec<String>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The worst of the reasons'.
    pub answer: Answer,
    /// Worst first.
    pub reasons: Vec<Reason>,
}

pub(super) const DOUBLE: RuleId = RuleId("ML105");
pub(super) const MIX: RuleId = RuleId("ML106");
pub(super) const DRIVER: RuleId = RuleId("ML107");
pub(super) const PLATFORM: RuleId = RuleId("ML108");
pub(super) const ARCHITECTURE: RuleId = RuleId("ML113");
pub(super) const NEEDLESS: RuleId = RuleId("ML127");
pub(super) const REINSTALLED: RuleId = RuleId("ML128");

/// Bytes of a wheel of torch for processors alone: 104 to 146 MB for arm64, 175 to 200 MB for amd64.
const TORCH_WITHOUT_CUDA: u64 = 190_000_000;

/// Libraries that are named of several that lack something.
pub(super) const SHOWN: usize = 3;

/// Does it fit?
pub fn fit(contents: &Contents, target: &Target) -> Fit {
    let mut reasons = Vec::new();
    reasons.extend(copies(contents));
    reasons.extend(mixes(contents));
    reasons.extend(reinstalled(contents));
    reasons.extend(needless(contents, target));
    if target.without_gpu {
        return judged(reasons);
    }
    reasons.extend(platform(contents, target));
    reasons.extend(drivers(contents, target));
    reasons.extend(required(contents, target));
    for gpu in &target.gpus {
        reasons.extend(knows(gpu, target.driver.as_ref()));
        reasons.extend(compiles(gpu, contents));
        reasons.extend(codes(gpu, contents, target));
    }
    judged(reasons)
}

fn judged(mut reasons: Vec<Reason>) -> Fit {
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.answer));
    Fit { answer: reasons.first().map_or(Answer::Fits, |reason| reason.answer), reasons }
}

/// CUDA where no GPU is meant.
fn needless(contents: &Contents, target: &Target) -> Option<Reason> {
    if !target.without_gpu || contents.is_empty() {
        return None;
    }
    let torch = contents.packages.iter().find(|package| package.name == "torch");
    let bytes =
        contents.cuda_bytes().saturating_add(torch.map_or(0, |torch| torch.size.saturating_sub(TORCH_WITHOUT_CUDA)));
    let size =
        if bytes > 0 { format!(": about {} MB of wheels for nothing", bytes / 1_000_000) } else { String::new() };
    let change = match torch {
        Some(torch) => {
            let public = torch.version.split('+').next().unwrap_or_default();
            format!(
                "torch {public}+cpu, of the index https://download.pytorch.org/whl/cpu: about {} MB, and no nvidia-* beside it",
                TORCH_WITHOUT_CUDA / 1_000_000
            )
        }
        None => "the same packages made for processors: onnxruntime in place of onnxruntime-gpu, jax without an extra"
            .to_owned(),
    };
    let by = contents
        .runtimes
        .iter()
        .filter(|runtime| !runtime.of_base)
        .map(|runtime| format!("{} brings CUDA {}", runtime.by, runtime.cuda));
    Some(Reason {
        rule: NEEDLESS,
        answer: Answer::Limited,
        what: format!("it brings CUDA, and no GPU is meant{size}"),
        evidence: by.take(SHOWN).collect(),
        change: vec![change],
    })
}

fn copies(contents: &Contents) -> Option<Reason> {
    let copies = contents.copies.as_ref()?;
    let bytes = if copies.bytes > 0 { format!(": {} MB for nothing", copies.bytes / 1_000_000) } else { String::new() };
    Some(Reason {
        rule: DOUBLE,
        answer: Answer::Limited,
        what: format!("CUDA is there twice, of the base and of the wheels{bytes}"),
        evidence: copies.examples.clone(),
        change: vec!["take a base without CUDA: the wheels load their own, and the driver comes from the host".into()],
    })
}

/// CUDA of several major versions, and wheels whose CUDA nobody brings.
fn mixes(contents: &Contents) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let base = contents.runtimes.iter().find(|runtime| runtime.of_base);
    let differs = base.and_then(|base| {
        let others = contents.runtimes.iter().filter(|one| !one.of_base && one.cuda.major != base.cuda.major);
        // One whose CUDA nobody brings is worse than one that has its own.
        Some((base, others.min_by_key(|one| one.is_there)?))
    });
    if let Some((base, wheel)) = differs {
        reasons.push(Reason {
            rule: MIX,
            answer: if wheel.is_there { Answer::Limited } else { Answer::No },
            what: format!("{} is made for CUDA {}, and the base has CUDA {}", wheel.by, wheel.cuda, base.cuda),
            evidence: vec![base.by.clone()],
            change: vec![format!(
                "take a base with CUDA {}, or one without where the wheels bring their own",
                wheel.cuda.major
            )],
        });
        return reasons;
    }
    for wheel in contents.runtimes.iter().filter(|runtime| !runtime.is_there) {
        let major = wheel.cuda.major;
        let (suffix, extra) =
            if major >= 13 { (String::new(), "[cuda,cudnn]") } else { (format!("-cu{major}"), "[cuda,cudnn]") };
        let name = wheel.by.split(' ').next().unwrap_or_default();
        let extra = if name == "onnxruntime-gpu" { format!("{name}{extra}, or ") } else { String::new() };
        reasons.push(Reason {
            rule: MIX,
            answer: Answer::No,
            what: format!("{} is made for CUDA {}, and nothing brings its libraries", wheel.by, wheel.cuda),
            evidence: vec![match contents.runtimes.iter().find(|other| other.is_there) {
                Some(other) => format!("{} brings CUDA {}", other.by, other.cuda),
                None => format!("there is no nvidia-cuda-runtime{suffix} among the packages, and no CUDA in the base"),
            }],
            change: vec![format!(
                "install {extra}nvidia-cuda-runtime{suffix}, nvidia-cublas{suffix}, nvidia-cudnn-cu{major}"
            )],
        });
    }
    reasons
}

fn reinstalled(contents: &Contents) -> Option<Reason> {
    let first = contents.reinstalled.first()?;
    Some(Reason {
        rule: REINSTALLED,
        answer: Answer::Limited,
        what: format!("the base has a framework that is installed once more: {first}"),
        evidence: contents.reinstalled.iter().skip(1).cloned().collect(),
        change: vec!["take a base without it, or leave it out of what is installed".into()],
    })
}

/// Wheels of the platform that use no GPU, where one is meant.
fn platform(contents: &Contents, target: &Target) -> Vec<Reason> {
    if target.gpus.is_empty() || contents.cpu_only.is_empty() {
        return Vec::new();
    }
    let reason = |package: &String| {
        let (name, version) = package.split_once(' ').unwrap_or((package, ""));
        Reason {
            rule: PLATFORM,
            answer: Answer::No,
            what: format!("{package} for linux/{} computes on processors alone", contents.architecture),
            evidence: Vec::new(),
            change: alternatives(name, version, contents, target),
        }
    };
    contents.cpu_only.iter().map(reason).collect()
}
