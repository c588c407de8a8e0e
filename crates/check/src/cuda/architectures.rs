//! Is there code for the GPU, or something that the driver compiles for it?

use corten_elf::GpuArchitecture;

use super::alternatives::alternatives;
use super::contents::{Code, Contents, is_of_nvidia, minimum_driver, toolkit_driver};
use super::data::tables;
use super::fit::{ARCHITECTURE, Answer, Reason, SHOWN, Target};
use super::gpu::{Gpu, GpuClass, dotted};
use super::version::{CudaVersion, DriverVersion};

/// Is the GPU older, or newer, than all that a CUDA compiles for? Speaks where the libraries themselves are not known.
pub(super) fn compiles(gpu: &Gpu, contents: &Contents) -> Option<Reason> {
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
pub(super) fn codes(gpu: &Gpu, contents: &Contents, target: &Target) -> Vec<Reason> {
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
