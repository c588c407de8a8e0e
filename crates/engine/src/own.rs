//! The layer of the project's own packages: each packed into a wheel, then installed like any other.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_install::python::{InstallTarget, Packer, WheelReport, WheelSource, convert_into};
use corten_layer::write::{LayerWriter, Written};
use corten_oci::{Digest, Digester};
use corten_package::{PackageName, Purl};
use corten_plan::{OwnWheel, OwnWheels, WheelMember};

use crate::app::Checked;

/// What was packed and installed: as wheels report it, with the digest of each wheel.
pub type Packed<W> = (W, Written, Vec<(WheelReport, Digest)>);

/// Packs into `scratch`, an existing folder that is nobody else's, and writes the layer.
pub fn write<W: Write>(own: &OwnWheels, scratch: &Path, writer: LayerWriter<W>) -> Result<Packed<W>, Report> {
    let (sources, digests): (Vec<_>, Vec<_>) = packed(&own.wheels, scratch)?.into_iter().unzip();
    let target = InstallTarget { prefix: own.prefix.clone(), python: own.python.version };
    let (sink, written, reports) = convert_into(&sources, &target, writer)?;
    Ok((sink, written, reports.into_iter().zip(digests).collect()))
}

/// Packs wheels into `scratch`, as [`write`] has it; each with its digest.
pub fn packed(wheels: &[OwnWheel], scratch: &Path) -> Result<Vec<(WheelSource, Digest)>, Report> {
    let mut packed = Vec::new();
    for (at, wheel) in wheels.iter().enumerate() {
        let path = scratch.join(at.to_string());
        let packing = |error: std::io::Error| Failure::world(format!("packing {}: {error}", wheel.name));
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(packing)?;
        let file = pack(wheel, file)?;
        let mut digester = Digester::new();
        std::io::copy(&mut BufReader::new(&file), &mut digester).map_err(packing)?;
        packed.push((source(wheel, file)?, digester.finish()));
    }
    Ok(packed)
}

fn source(wheel: &OwnWheel, file: File) -> Result<WheelSource, Failure> {
    let name = PackageName::new(&wheel.name).map_err(|error| Failure::input(error.to_string()))?;
    Ok(WheelSource {
        name: wheel.name.clone(),
        version: wheel.version.clone(),
        purl: Purl::pypi(&name, &wheel.version).to_string(),
        file,
        direct_url: Some(wheel.direct_url.clone()),
    })
}

fn pack(wheel: &OwnWheel, file: File) -> Result<File, Failure> {
    let mut packer = Packer::new(file);
    for member in &wheel.members {
        match member {
            WheelMember::Text { path, text } => packer
                .add(path, false, text.len() as u64, text.as_bytes())
                .map_err(|error| Failure::world(format!("packing {}: {error}", wheel.name)))?,
            WheelMember::File(file) => {
                let mut content = Checked::open(file)?;
                packer
                    .add(&file.path, file.mode & 0o111 != 0, file.size, &mut content)
                    .map_err(|error| content.unreadable(error))?;
                content.finish()?;
            }
        }
    }
    packer.finish(&wheel.dist_info).map_err(|error| Failure::world(format!("packing {}: {error}", wheel.name)))
}
