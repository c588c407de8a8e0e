//! ML107: a driver that is too old for the CUDA of the image.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::cuda::{CudaVersion, DriverVersion, Package, minimum_driver, of_packages};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML107"),
    name: "cuda-driver",
    severity: Severity::Warning,
    what: "The driver that containers will find is older than the CUDA of the image allows.",
    why: "CUDA 11 runs on drivers from 450 on, 12 from 525, 13 from 580: any minor version of the same major does, though what `nvidia-smi` prints as CUDA version is lower. Tables that give each driver one highest CUDA are too strict. Too old a driver says \"CUDA driver version is insufficient\" or \"requirement error: unsatisfied condition\"; \"no kernel image is available\" is another mistake: the libraries hold nothing for that GPU. With cuda-compat in the image, datacenter GPUs run a newer major than their driver's. Spoken only where a driver is named.",
    bad: "# settings: driver = \"550.54.14\"\nFROM nvidia/cuda:13.0.1-base-ubuntu24.04\nUSER 1000\n",
    good: "# settings: driver = \"550.54.14\"\nFROM nvidia/cuda:12.8.1-base-ubuntu24.04\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(driver) = lint.config.driver.as_deref().and_then(|driver| driver.parse::<DriverVersion>().ok()) else {
        return;
    };
    let first = |cuda: CudaVersion| Some(minimum_driver(cuda)?.0).filter(|first| !driver.is_at_least(first));
    for image in images::all(lint).filter(|image| lint.is_in_image(image.stage)) {
        let cuda = image.cuda().flatten().and_then(|version| CudaVersion::parse(&version));
        let (Some((cuda, first)), Some(step)) =
            (cuda.and_then(|cuda| Some((cuda, first(cuda)?))), lint.steps.get(image.stage.from))
        else {
            continue;
        };
        let message = format!(
            "{} has CUDA {}, which asks for a driver from {first} on: {driver} is there",
            image.name, cuda.major
        );
        let help = "take a newer driver or an older CUDA; with cuda-compat a datacenter GPU may run it all the same";
        found.add(lint.place(step.word(&image.stage.image)), message, help);
    }
    for install in pip::installs(lint) {
        let is_kept = lint.is_kept(install.step);
        let wheels = wheels(lint, &install).filter(|_| is_kept);
        if let Some((cuda, first)) = wheels.and_then(|cuda| Some((cuda, first(cuda)?))) {
            let message = format!("wheels for CUDA {cuda} ask for a driver from {first} on: {driver} is there");
            found.add(lint.place(install.call.at()), message, "take wheels for an older CUDA, or a newer driver");
        }
    }
}

/// The newest CUDA that is installed: by the index, else by what is known of wheels of exact versions.
fn wheels(lint: &Lint<'_>, install: &pip::Install<'_>) -> Option<CudaVersion> {
    let indexes = install.indexes(lint);
    if !indexes.is_empty() {
        return indexes.iter().find_map(|index| CudaVersion::of_tag(index.trim_end_matches('/').rsplit('/').next()?));
    }
    let exact = install.packages.iter().filter_map(|package| {
        let version = package.version.strip_prefix("==")?.trim().to_owned();
        Some(Package { name: package.name.clone(), version, size: 0 })
    });
    of_packages(&exact.collect::<Vec<_>>(), "amd64", None).newest()
}
