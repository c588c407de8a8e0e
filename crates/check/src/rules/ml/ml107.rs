//! ML107: a driver that is too old for the CUDA of the image.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
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

/// The first driver of each major version (docs.nvidia.com/deploy/cuda-compatibility, read 2026-11-21).
const FIRST: [(u32, u32); 3] = [(11, 450), (12, 525), (13, 580)];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let driver = lint.config.driver.as_deref().and_then(|driver| driver.split('.').next()?.parse::<u32>().ok());
    let Some(driver) = driver else { return };
    let too_old =
        |cuda: u32| FIRST.iter().find(|(major, first)| *major == cuda && driver < *first).map(|(_, first)| *first);
    for image in images::all(lint).filter(|image| lint.is_in_image(image.stage)) {
        let cuda = image.cuda().flatten().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        let (Some((cuda, first)), Some(step)) =
            (cuda.and_then(|cuda| Some((cuda, too_old(cuda)?))), lint.steps.get(image.stage.from))
        else {
            continue;
        };
        let message =
            format!("{} has CUDA {cuda}, which asks for a driver from {first} on: {driver} is there", image.name);
        let help = "take a newer driver or an older CUDA; with cuda-compat a datacenter GPU may run it all the same";
        found.add(lint.place(step.word(&image.stage.image)), message, help);
    }
    for install in pip::installs(lint) {
        let is_kept = lint.stage_of(install.step).is_some_and(|stage| lint.is_in_image(stage));
        let indexes = install.indexes(lint);
        let tag = indexes.iter().find_map(|index| index.trim_end_matches('/').rsplit('/').next()?.strip_prefix("cu"));
        let cuda = tag.and_then(|digits| digits.parse::<u32>().ok()).map(|number| number / 10);
        if let (true, Some((cuda, first))) = (is_kept, cuda.and_then(|cuda| Some((cuda, too_old(cuda)?)))) {
            let message = format!("wheels for CUDA {cuda} ask for a driver from {first} on: {driver} is there");
            found.add(lint.place(install.call.at()), message, "take wheels for an older CUDA, or a newer driver");
        }
    }
}
