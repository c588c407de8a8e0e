//! Programs and libraries of an image that its processor cannot run.

use corten_install::libraries::{ImageLayer, Program};
use corten_oci::{DiffId, LayerPath};
use corten_plan::BuiltLayer;
use serde::{Deserialize, Serialize};

use crate::plan::Planned;

/// `e_machine` of the processors that machines have (System V ABI, processor supplements). Others are those of GPUs and
/// of virtual machines, which are data to a processor.
const MACHINES: [(u16, &str); 9] = [
    (3, "i386"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
];
/// How many files of one layer are told.
const MOST: usize = 64;

/// An ELF file that does not run in its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProgram {
    /// Where.
    pub layer: DiffId,
    /// In the image.
    pub path: LayerPath,
    /// For which processor it is: `amd64`.
    pub machine: String,
}

/// Those of a layer. A wheel for all platforms may hold some for each.
pub fn foreign(planned: &Planned, built: &BuiltLayer, layer: &ImageLayer) -> Vec<ForeignProgram> {
    let image = planned.base.architecture.go_name();
    let told = layer.programs.programs.iter().filter_map(|program| {
        let (_, machine) = MACHINES.into_iter().find(|(machine, _)| *machine == program.machine)?;
        let foreign = machine != image && !is_for_all(planned, layer, program);
        let (layer, path) = (built.layer.diff_id, program.path.clone());
        foreign.then(|| ForeignProgram { layer, path, machine: machine.to_owned() })
    });
    told.take(MOST).collect()
}

fn is_for_all(planned: &Planned, layer: &ImageLayer, program: &Program) -> bool {
    let entry = layer.index.entries.iter().find(|entry| entry.path == program.path);
    let package = entry.and_then(|entry| entry.package.as_deref()?.strip_prefix("pkg:pypi/"));
    let name = package.and_then(|package| package.split('@').next());
    let mut wheels = planned.packages.wheels.iter().filter(|wheel| Some(wheel.name.as_str()) == name);
    wheels.any(|wheel| wheel.file.ends_with("-any.whl"))
}
