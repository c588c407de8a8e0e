//! GPU code of wheels, remembered by the wheel's digest: a plan asks what is known, `gpu check` also reads the wheels that the store has.

use std::io::Read as _;

use corten_diagnostic::{Failure, Report};
use corten_elf::{FatbinScan, MAGIC};
use corten_install::libraries::GpuLibrary;
use corten_layer::zip::Archive;
use corten_oci::Digest;
use corten_plan::LockedWheel;
use corten_store::Key;
use serde::{Deserialize, Serialize};

use super::brought::Read;
use crate::world::World;

/// Raised when the answer for the same wheel changes.
const FORMAT: u32 = 1;
/// Bytes that are read together.
const CHUNK: usize = 256 << 10;
/// Bytes of one library; the largest that was seen has 2.7 GB.
const LONGEST_LIBRARY: u64 = 16 << 30;

/// A library of a wheel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WheelLibrary {
    /// In the wheel.
    pub(super) path: String,
    pub(super) code: GpuLibrary,
}

/// Libraries with GPU code; none where nobody has read the wheel and it is not to be read.
pub(super) fn libraries(
    wheel: &LockedWheel,
    read: Read,
    world: &World<'_>,
) -> Result<Option<Vec<WheelLibrary>>, Report> {
    let key = Key(Digest::of(format!("gpu code of wheel {FORMAT} {}", wheel.digest)));
    if let Some(known) = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(Some(known));
    }
    if read == Read::Nothing || wheel.file.ends_with("-any.whl") || world.store.size(&wheel.digest)? != Some(wheel.size)
    {
        return Ok(None);
    }
    // What is remembered by a digest is of the bytes that have it.
    let (mut verified, _) = world.store.stream(&wheel.digest)?;
    std::io::copy(&mut verified, &mut std::io::sink())
        .map_err(|error| Failure::world(format!("reading {}: {error}", wheel.file)))?;
    let libraries = scan(&wheel.digest, world)
        .map_err(|error| Failure::world(format!("reading the libraries of {}: {error}", wheel.file)))?;
    let bytes =
        serde_json::to_vec(&libraries).map_err(|error| Failure::bug(format!("remembering GPU code: {error}")))?;
    let batch = world.store.batch();
    batch.record(&key, &bytes)?;
    batch.finish()?;
    Ok(Some(libraries))
}

fn scan(wheel: &Digest, world: &World<'_>) -> Result<Vec<WheelLibrary>, Box<dyn std::error::Error>> {
    let mut archive = Archive::new(world.store.file(wheel)?)?;
    let is_library = |name: &str| name.ends_with(".so") || name.contains(".so.");
    let members: Vec<_> = archive.members().iter().filter(|member| is_library(&member.name)).cloned().collect();
    let mut found = Vec::new();
    let mut chunk = vec![0; CHUNK];
    for member in members {
        let mut scan = FatbinScan::default();
        let mut content = archive.stream(&member)?.take(LONGEST_LIBRARY);
        let mut first = true;
        loop {
            let count = content.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            if first && !bytes.starts_with(MAGIC.get(..count.min(4)).unwrap_or_default()) {
                break;
            }
            first = false;
            scan.push(bytes);
        }
        if let Some(code) = GpuLibrary::of(&scan.finish()) {
            found.push(WheelLibrary { path: member.name.clone(), code });
        }
    }
    Ok(found)
}
