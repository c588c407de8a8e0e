//! The judgement: one answer, and the reasons for it.

use corten_diagnostic::RuleId;
use corten_elf::GpuArchitecture;

use super::alternatives::alternatives;
use super::contents::{Code, Contents, is_minor_compatible, is_of_nvidia, minimum_driver, toolkit_driver};
use super::data::tables;
use super::gpu::{Gpu, GpuClass, dotted};
use super::require::{Host, requirement};
use super::version::{CudaVersion, DriverVersion};

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

pub(crate) const DOUBLE: RuleId = RuleId("ML105");
pub(crate) const MIX: RuleId = RuleId("ML106");
pub(crate) const DRIVER: RuleId = RuleId("ML107");
pub(crate) const PLATFORM: RuleId = RuleId("ML108");
pub(crate) const ARCHITECTURE: RuleId = RuleId("ML113");
pub(crate) const NEEDLESS: RuleId = RuleId("ML127");
pub(crate) const REINSTALLED: RuleId = RuleId("ML128");

/// Bytes of a wheel of torch for processors alone: 104 to 146 MB for arm64, 175 to 200 MB for amd64.
const TORCH_WITHOUT_CUDA: u64 = 190_000_000;

/// Libraries that are named of several that lack something.
const SHOWN: usize = 3;

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
        let wheel = contents.runtimes.iter().find(|one| !one.of_base && one.cuda.major != base.cuda.major)?;
        Some((base, wheel))
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

/// What the image's environment asks of the host, and the older hook of docker enforces.
fn required(contents: &Contents, target: &Target) -> Option<Reason> {
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
fn drivers(contents: &Contents, target: &Target) -> Vec<Reason> {
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
fn knows(gpu: &Gpu, driver: Option<&DriverVersion>) -> Option<Reason> {
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

/// Is the GPU older, or newer, than all that a CUDA compiles for? Speaks where the libraries themselves are not known.
fn compiles(gpu: &Gpu, contents: &Contents) -> Option<Reason> {
    let known = tables().architectures.get(&gpu.capability.number)?;
    let cuda = contents.newest().filter(|_| contents.code.is_empty())?;
    let latest = CudaVersion { minor: cuda.minor.or(Some(u16::MAX)), ..cuda };
    let what = if known.last_cuda.is_some_and(|last| last < CudaVersion { minor: cuda.minor.or(Some(0)), ..cuda }) {
        format!("CUDA {cuda} has no code for {} ({}) any more: {} was the last", gpu.name, known.name, known.last_cuda?)
    } else if known.first_cuda.is_some_and(|first| first > latest) {
        format!(
            "CUDA {cuda} is older than {} ({}): CUDA {} was the first for it",
            gpu.name, known.name, known.first_cuda?
        )
    } else {
        return None;
    };
    let evidence =
        contents.runtimes.iter().map(|runtime| format!("{} brings CUDA {}", runtime.by, runtime.cuda)).take(SHOWN);
    Some(Reason {
        rule: ARCHITECTURE,
        answer: Answer::No,
        what,
        evidence: evidence.collect(),
        change: others(gpu, Vec::new()),
    })
}

/// Other wheels, or what they would have to be made with.
fn others(gpu: &Gpu, wheels: Vec<String>) -> Vec<String> {
    let known = tables().architectures.get(&gpu.capability.number).filter(|_| wheels.is_empty());
    let made_with = known.and_then(|known| {
        let first = known.first_cuda?;
        let last = known.last_cuda.map_or("or later".to_owned(), |last| format!("to {last}"));
        Some(format!("packages made with CUDA {first} {last}, with code for sm_{}", gpu.capability))
    });
    wheels.into_iter().chain(made_with).collect()
}

/// How code of one library serves a GPU.
enum Serves {
    Machine,
    Compiled(GpuArchitecture),
    Nothing,
}

/// Is there code for the GPU? By package: the libraries together, and which of them lack it.
fn codes(gpu: &Gpu, contents: &Contents, target: &Target) -> Vec<Reason> {
    let mut packages: Vec<&str> = contents.code.iter().map(|code| code.package.as_str()).collect();
    packages.dedup();
    let mut seen: Vec<&str> = Vec::new();
    packages.retain(|package| {
        !seen.contains(package) && {
            seen.push(package);
            true
        }
    });
    packages.into_iter().filter_map(|package| of_package(gpu, package, contents, target)).collect()
}

fn of_package(gpu: &Gpu, package: &str, contents: &Contents, target: &Target) -> Option<Reason> {
    let all: Vec<&Code> = contents.code.iter().filter(|code| code.package == package).collect();
    let all = loaded(all, contents);
    let (name, version) = package.split_once(' ').unwrap_or((package, ""));
    let served: Vec<(&Code, Serves)> = all.iter().map(|code| (*code, serves(code, gpu))).collect();
    let lacking: Vec<&Code> =
        served.iter().filter(|(_, how)| matches!(how, Serves::Nothing)).map(|(code, _)| *code).collect();
    let evidence: Vec<String> = lacking.iter().chain(&all).take(SHOWN).map(|code| evidence(code)).collect();
    let mut evidence = evidence;
    evidence.dedup();
    let capability = dotted(gpu.capability);
    if lacking.len() == all.len() {
        // NVIDIA's special libraries: those that need them say so.
        if is_of_nvidia(name) {
            return None;
        }
        let tegra = if gpu.class == Some(GpuClass::Jetson) {
            "; code for other GPUs of the same major version does not count on Jetson"
        } else {
            ""
        };
        return Some(Reason {
            rule: ARCHITECTURE,
            answer: Answer::No,
            what: format!(
                "{package} has no code for {} (compute capability {capability}): \"no kernel image is available\"{tegra}",
                gpu.name
            ),
            evidence,
            change: others(gpu, alternatives(name, version, contents, target)),
        });
    }
    let compiled = served.iter().find_map(|(_, how)| match how {
        Serves::Compiled(ptx) if !served.iter().any(|(_, how)| matches!(how, Serves::Machine)) => Some(*ptx),
        _ => None,
    });
    if let Some(ptx) = compiled {
        return Some(of_ptx(gpu, package, ptx, evidence, contents, target));
    }
    if lacking.is_empty() || is_of_nvidia(name) {
        return None;
    }
    Some(Reason {
        rule: ARCHITECTURE,
        answer: Answer::Fits,
        what: format!(
            "{package}: {} of its {} libraries have no code for {}; what needs them does not run there",
            lacking.len(),
            all.len(),
            gpu.name
        ),
        evidence,
        change: Vec::new(),
    })
}

/// Some packages bring a library for each CUDA, `libbitsandbytes_cuda128.so`, and load the one that fits torch's.
fn loaded<'a>(all: Vec<&'a Code>, contents: &Contents) -> Vec<&'a Code> {
    let tag = |code: &Code| -> Option<CudaVersion> {
        let (_, end) = code.file.as_deref()?.rsplit_once("_cuda")?;
        CudaVersion::of_tag(&format!("cu{}", end.strip_suffix(".so")?))
    };
    if all.is_empty() || all.iter().any(|code| tag(code).is_none()) {
        return all;
    }
    let cuda = contents.runtimes.iter().filter(|runtime| runtime.is_there).map(|runtime| runtime.cuda).max();
    let fits = |code: &&Code| {
        cuda.is_none_or(|cuda| {
            tag(code)
                .is_some_and(|own| own.major == cuda.major && cuda.minor.is_none_or(|minor| own.minor == Some(minor)))
        })
    };
    let exact: Vec<&Code> = all.iter().copied().filter(|code| fits(code)).collect();
    if exact.is_empty() { all } else { exact }
}

fn evidence(code: &Code) -> String {
    let list = |all: &[GpuArchitecture]| all.iter().map(|one| format!("sm_{one}")).collect::<Vec<_>>().join(" ");
    let ptx = code.ptx.iter().map(|one| format!(" compute_{one}")).collect::<String>();
    let of = code.file.as_deref().unwrap_or(&code.package);
    format!("{of}: {}{ptx} ({})", list(&code.cubins), code.source)
}

/// PTX for the GPU and no machine code: the driver has to be as new as the CUDA that made it.
fn of_ptx(
    gpu: &Gpu,
    package: &str,
    ptx: GpuArchitecture,
    mut evidence: Vec<String>,
    contents: &Contents,
    target: &Target,
) -> Reason {
    let cuda = contents.newest().unwrap_or(CudaVersion { major: 12, minor: None });
    let own = toolkit_driver(cuda);
    let text = format!("{package} has no machine code for {}, only PTX for {}", gpu.name, dotted(ptx));
    let (answer, what) = match (own, &target.driver) {
        (Some(own), Some(driver)) if !driver.is_at_least(own) && !compat_compiles(own, contents, target) => (
            Answer::No,
            format!(
                "{text}, which driver {driver} does not compile: CUDA {cuda} made it, and that takes {own} or later"
            ),
        ),
        (Some(own), None) => (
            Answer::Limited,
            format!(
                "{text}: the driver compiles it at the first start, which takes minutes; it has to be {own} or later"
            ),
        ),
        (None, Some(driver)) => (
            Answer::Limited,
            format!("{text}: driver {driver} compiles it at the first start, if it is as new as the CUDA that made it"),
        ),
        _ => (Answer::Limited, format!("{text}: the driver compiles it at the first start, which takes minutes")),
    };
    let change = match answer {
        Answer::No => {
            let (name, version) = package.split_once(' ').unwrap_or((package, ""));
            let driver = own.map(|own| format!("a driver of {own} or later on the host"));
            driver.into_iter().chain(alternatives(name, version, contents, target)).collect()
        }
        _ => Vec::new(),
    };
    evidence.truncate(1);
    Reason { rule: ARCHITECTURE, answer, what, evidence, change }
}

fn compat_compiles(own: &DriverVersion, contents: &Contents, target: &Target) -> bool {
    let takes = target.gpus.iter().all(|gpu| gpu.class == Some(GpuClass::DataCentre));
    takes && contents.compat.as_ref().is_some_and(|compat| compat.driver.is_at_least(own))
}

/// Machine code runs on GPUs of the same major version, the same minor version or later; but `a` on that very one alone, and on Jetson
/// nothing that is not for it. PTX runs on all later ones (CUDA C++ programming guide, 3.1.2 and 3.1.3; 5.1.2).
fn serves(code: &Code, gpu: &Gpu) -> Serves {
    let own = gpu.capability;
    let tegra = |number: u16| [53, 62, 72, 87, 101, 110].contains(&number);
    let runs = |cubin: &&GpuArchitecture| match cubin.scope {
        corten_elf::Scope::Specific => cubin.number == own.number,
        _ if tegra(own.number) || tegra(cubin.number) => cubin.number == own.number,
        _ => cubin.major() == own.major() && cubin.number <= own.number,
    };
    if code.cubins.iter().any(|cubin| runs(&cubin)) {
        return Serves::Machine;
    }
    let compiles = |ptx: &&GpuArchitecture| match ptx.scope {
        corten_elf::Scope::Specific => ptx.number == own.number,
        corten_elf::Scope::Family => ptx.major() == own.major() && ptx.number <= own.number,
        corten_elf::Scope::Open => ptx.number <= own.number,
    };
    match code.ptx.iter().filter(compiles).max() {
        Some(ptx) => Serves::Compiled(*ptx),
        None => Serves::Nothing,
    }
}

/// Could these architectures and this CUDA serve the target? For those who look for another wheel.
pub(super) fn would_fit(code: &Code, cuda: CudaVersion, target: &Target) -> bool {
    let starts = match (&target.driver, minimum_driver(cuda)) {
        (Some(driver), Some((least, _))) => driver.is_at_least(least),
        _ => true,
    };
    let compiles = |gpu: &Gpu| match (serves(code, gpu), toolkit_driver(cuda), &target.driver) {
        (Serves::Machine, ..) => true,
        (Serves::Compiled(_), Some(own), Some(driver)) => driver.is_at_least(own),
        (Serves::Compiled(_), ..) => true,
        (Serves::Nothing, ..) => false,
    };
    starts && target.gpus.iter().all(compiles)
}
