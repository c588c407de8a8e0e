//! Does each CUDA start on the driver, and does the driver know the GPU?

use super::alternatives::alternatives;
use super::contents::{Contents, is_minor_compatible, minimum_driver, toolkit_driver};
use super::data::tables;
use super::fit::{Answer, DRIVER, Reason, SHOWN, Target};
use super::gpu::{Gpu, GpuClass, dotted};
use super::require::{Host, requirement};
use super::version::{CudaVersion, DriverVersion};

/// What the image's environment asks of the host, and the older hook of docker enforces.
pub(super) fn required(contents: &Contents, target: &Target) -> Option<Reason> {
    let (text, driver) = (contents.require.as_deref()?, target.driver.as_ref()?);
    let of_class = |class: Option<GpuClass>| match class {
        Some(GpuClass::DataCentre) => vec!["tesla"],
        Some(GpuClass::Workstation) => vec!["nvidiartx", "quadrortx", "quadro"],
        Some(GpuClass::Geforce) => vec!["geforcertx", "geforce"],
        Some(GpuClass::Jetson) | None => Vec::new(),
    };
    let brands: Vec<&str> = target.gpus.iter().flat_map(|gpu| of_class(gpu.class)).collect();
    if requirement(text, &Host { driver, brands: &brands })? {
        return None;
    }
    Some(Reason {
        rule: DRIVER,
        answer: Answer::Limited,
        what: format!("docker's older hook for GPUs refuses to start it on driver {driver}: \"unsatisfied condition\" of NVIDIA_REQUIRE_CUDA"),
        evidence: vec![format!("NVIDIA_REQUIRE_CUDA={}", text.chars().take(80).collect::<String>())],
        change: vec!["take a base without CUDA; or set NVIDIA_DISABLE_REQUIRE=1, or let docker take GPUs by CDI, where nothing else speaks against it".into()],
    })
}

/// Does each CUDA start on the driver?
pub(super) fn drivers(contents: &Contents, target: &Target) -> Vec<Reason> {
    let Some(driver) = &target.driver else { return Vec::new() };
    let mut majors: Vec<u16> = contents.runtimes.iter().map(|runtime| runtime.cuda.major).collect();
    majors.sort_unstable();
    majors.dedup();
    majors.into_iter().rev().filter_map(|major| starts(major, driver, contents, target)).collect()
}

fn starts(major: u16, driver: &DriverVersion, contents: &Contents, target: &Target) -> Option<Reason> {
    let cuda = contents.of_major(major);
    let by = contents.runtimes.iter().filter(|runtime| runtime.cuda.major == major);
    let mut by: Vec<String> = by.map(|runtime| format!("{} brings CUDA {}", runtime.by, runtime.cuda)).collect();
    by.truncate(SHOWN);
    let Some((least, source)) = minimum_driver(cuda) else {
        return Some(Reason {
            rule: DRIVER,
            answer: Answer::Unknown,
            what: format!("which drivers run CUDA {cuda} is not known to this version of Corten"),
            evidence: by,
            change: Vec::new(),
        });
    };
    let which = if is_minor_compatible(cuda) { major.to_string() } else { cuda.to_string() };
    by.push(format!("CUDA {which} runs on drivers from {least} on ({source})"));
    if driver.is_at_least(least) {
        return limits(cuda, driver, by);
    }
    match forward(cuda, driver, contents, target) {
        Some(answer) => Some(Reason { evidence: by, ..answer }),
        None => Some(Reason {
            rule: DRIVER,
            answer: Answer::No,
            what: format!("driver {driver} is too old for CUDA {cuda}: it has to be {least} or later"),
            evidence: by,
            change: too_old(cuda, least, driver, contents, target),
        }),
    }
}

/// Minor-version compatibility: it runs, but for PTX and features that need the toolkit's own driver.
fn limits(cuda: CudaVersion, driver: &DriverVersion, evidence: Vec<String>) -> Option<Reason> {
    let own = toolkit_driver(cuda).filter(|own| !driver.is_at_least(own))?;
    Some(Reason {
        rule: DRIVER,
        answer: Answer::Fits,
        what: format!(
            "CUDA {cuda} runs on driver {driver} by minor-version compatibility; code that is compiled when it is loaded (PTX) and some features need {own}"
        ),
        evidence,
        change: Vec::new(),
    })
}

/// What cuda-compat of the image makes of a driver that is too old.
fn forward(cuda: CudaVersion, driver: &DriverVersion, contents: &Contents, target: &Target) -> Option<Reason> {
    let compat = contents.compat.as_ref()?;
    let (least, _) = minimum_driver(cuda)?;
    if !compat.driver.is_at_least(least) {
        return None;
    }
    let reason = |answer, what, change| Reason { rule: DRIVER, answer, what, evidence: Vec::new(), change };
    if let Some(gpu) = target.gpus.iter().find(|gpu| gpu.class == Some(GpuClass::Geforce)) {
        let what = format!(
            "driver {driver} is too old for CUDA {cuda}, and {} does not take the newer one of {} (error 804)",
            gpu.name, compat.path
        );
        return Some(reason(Answer::No, what, vec![format!("a driver of {least} or later on the host")]));
    }
    let branches = branches(cuda);
    let listed = branches.is_some_and(|branches| branches.contains(&driver.branch()));
    let what = format!(
        "CUDA {cuda} runs on driver {driver} by forward compatibility, with the driver {} that lies in {}",
        compat.driver, compat.path
    );
    Some(match (listed, target.gpus.iter().all(|gpu| gpu.class == Some(GpuClass::DataCentre))) {
        (true, true) if !target.gpus.is_empty() => reason(Answer::Fits, what, Vec::new()),
        (true, _) => reason(
            Answer::Limited,
            format!("{what}: on GPUs for data centres, Jetson and some for workstations"),
            Vec::new(),
        ),
        (false, _) => {
            let list = branches.map(|branches| format!(": NVIDIA lists {}", list(branches))).unwrap_or_default();
            reason(
                Answer::Unknown,
                format!("{what}, if at all{list}"),
                vec![format!("a driver of {least} or later on the host")],
            )
        }
    })
}

/// The branches on which cuda-compat of a CUDA works: of the nearest version that is known, not newer; of the first one of a major
/// version where that is all that is known.
fn branches(cuda: CudaVersion) -> Option<&'static [u32]> {
    let mut of_major = tables().forward.iter().filter(|(known, _)| known.major == cuda.major);
    let first = of_major.clone().next();
    let nearest = cuda.minor.and_then(|minor| of_major.rfind(|(known, _)| known.minor <= Some(minor)));
    nearest.or(first).map(|(_, branches)| branches.as_slice())
}

fn list(branches: &[u32]) -> String {
    branches.iter().map(|branch| format!("R{branch}")).collect::<Vec<_>>().join(", ")
}

fn too_old(
    cuda: CudaVersion,
    least: &DriverVersion,
    driver: &DriverVersion,
    contents: &Contents,
    target: &Target,
) -> Vec<String> {
    let mut change = vec![format!("a driver of {least} or later on the host")];
    let takes = target.gpus.iter().all(|gpu| matches!(gpu.class, Some(GpuClass::DataCentre)));
    if let Some(branches) = branches(cuda).filter(|branches| takes && branches.contains(&driver.branch())) {
        let minor = cuda.minor.unwrap_or(0);
        change.push(format!(
            "the package cuda-compat-{}-{minor} in the image: on GPUs for data centres it lets CUDA {} run on {}",
            cuda.major,
            cuda.major,
            list(branches)
        ));
    }
    let mut packages: Vec<&str> = contents.code.iter().map(|code| code.package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();
    let each = if packages.len() > 1 { 2 } else { 3 };
    for (name, version) in packages.into_iter().filter_map(|package| package.split_once(' ')) {
        change.extend(alternatives(name, version, contents, target).into_iter().take(each));
    }
    change
}

/// Does the driver know the GPU?
pub(super) fn knows(gpu: &Gpu, driver: Option<&DriverVersion>) -> Option<Reason> {
    let (driver, known) = (driver?, tables().architectures.get(&gpu.capability.number)?);
    let branch = driver.branch();
    let too_old = known.first_driver.filter(|first| branch < *first).map(|first| ("old", format!("R{first} or later")));
    let too_new = known.last_driver.filter(|last| branch > *last).map(|last| ("new", format!("R{last} or earlier")));
    let (how, wanted) = too_old.or(too_new)?;
    Some(Reason {
        rule: DRIVER,
        answer: Answer::No,
        what: format!("driver {driver} is too {how} for {}: {} needs {wanted}", gpu.name, known.name),
        evidence: vec![format!("{} has compute capability {} ({})", gpu.name, dotted(gpu.capability), known.name)],
        change: vec![format!("a driver of {wanted} on the host")],
    })
}
