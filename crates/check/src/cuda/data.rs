//! The tables of data.toml and wheels.toml, read once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use corten_elf::GpuArchitecture;
use corten_package::pep440::{Specifiers, Version};
use serde::Deserialize;

use super::gpu::{Gpu, GpuClass};
use super::version::{CudaVersion, DriverVersion};

const DATA: &str = include_str!("data.toml");
const WHEELS: &str = include_str!("wheels.toml");

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The oldest driver for any CUDA of a major version, and where that stands.
    pub(super) majors: BTreeMap<u16, (DriverVersion, String)>,
    /// The driver of a toolkit, by major and minor version.
    pub(super) toolkits: BTreeMap<CudaVersion, DriverVersion>,
    /// Branches of drivers on which cuda-compat of a CUDA works.
    pub(super) forward: BTreeMap<CudaVersion, Vec<u32>>,
    pub(super) architectures: BTreeMap<u16, Architecture>,
    pub(super) gpus: Vec<Gpu>,
    pub(super) wheels: Vec<Wheel>,
}

/// What compiles for an architecture and runs it.
#[derive(Debug, Clone)]
pub(super) struct Architecture {
    pub(super) name: String,
    pub(super) first_cuda: Option<CudaVersion>,
    pub(super) last_cuda: Option<CudaVersion>,
    pub(super) first_driver: Option<u32>,
    pub(super) last_driver: Option<u32>,
}

/// What wheels of some versions bring of CUDA.
#[derive(Debug, Clone)]
pub(super) struct Wheel {
    pub(super) name: String,
    pub(super) versions: Specifiers,
    pub(super) local: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) cuda: Option<CudaVersion>,
    pub(super) cubins: Vec<GpuArchitecture>,
    pub(super) ptx: Vec<GpuArchitecture>,
    pub(super) source: String,
}

/// The tables; empty ones if the data could not be read, which a test rules out.
pub(super) fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| read(DATA, WHEELS).unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    sources: BTreeMap<String, String>,
    major: Vec<MajorRow>,
    toolkit: BTreeMap<String, BTreeMap<String, String>>,
    forward: Vec<ForwardRow>,
    architecture: Vec<ArchitectureRow>,
    gpus: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MajorRow {
    cuda: u16,
    driver: String,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForwardRow {
    cuda: String,
    branches: Vec<u32>,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchitectureRow {
    number: u16,
    name: String,
    cuda: Vec<String>,
    #[serde(default)]
    drivers: Vec<u32>,
    source: String,
}

#[derive(Deserialize)]
struct WheelRows {
    wheel: Vec<WheelRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WheelRow {
    name: String,
    versions: String,
    local: Option<String>,
    platform: Option<String>,
    cuda: Option<String>,
    #[serde(default)]
    cubins: Vec<String>,
    #[serde(default)]
    ptx: Vec<String>,
    source: String,
}

fn read(data: &str, wheels: &str) -> Result<Tables, String> {
    let data: Data = toml::from_str(data).map_err(|error| error.to_string())?;
    let wheels: WheelRows = toml::from_str(wheels).map_err(|error| error.to_string())?;
    let source = |key: &str| data.sources.get(key).cloned().ok_or_else(|| format!("there is no source '{key}'"));
    let mut tables = Tables::default();
    for row in &data.major {
        tables.majors.insert(row.cuda, (driver(&row.driver)?, source(&row.source)?));
    }
    for (key, rows) in &data.toolkit {
        source(key)?;
        for (version, toolkit) in rows {
            tables.toolkits.insert(cuda(version)?, driver(toolkit)?);
        }
    }
    for row in data.forward.iter() {
        source(&row.source)?;
        tables.forward.insert(cuda(&row.cuda)?, row.branches.clone());
    }
    for row in &data.architecture {
        source(&row.source)?;
        tables.architectures.insert(row.number, architecture(row)?);
    }
    for (class, rows) in &data.gpus {
        let class = match class.as_str() {
            "data-centre" => GpuClass::DataCentre,
            "workstation" => GpuClass::Workstation,
            "geforce" => GpuClass::Geforce,
            "jetson" => GpuClass::Jetson,
            other => return Err(format!("no kind of GPU is '{other}'")),
        };
        for (capability, names) in rows {
            let capability: GpuArchitecture = capability.parse().map_err(|error| format!("{error}"))?;
            tables.gpus.extend(names.iter().map(|name| Gpu { name: name.clone(), capability, class: Some(class) }));
        }
    }
    for row in wheels.wheel {
        tables.wheels.push(wheel(row, &source)?);
    }
    Ok(tables)
}

fn architecture(row: &ArchitectureRow) -> Result<Architecture, String> {
    let version = |at: usize| row.cuda.get(at).map(|text| cuda(text)).transpose();
    Ok(Architecture {
        name: row.name.clone(),
        first_cuda: version(0)?,
        last_cuda: version(1)?,
        first_driver: row.drivers.first().copied(),
        last_driver: row.drivers.get(1).copied(),
    })
}

fn wheel(row: WheelRow, source: &dyn Fn(&str) -> Result<String, String>) -> Result<Wheel, String> {
    let list = |texts: &[String]| -> Result<Vec<GpuArchitecture>, String> {
        texts.iter().map(|text| text.parse().map_err(|error| format!("{}: {error}", row.name))).collect()
    };
    Ok(Wheel {
        versions: row.versions.parse().map_err(|_| format!("{}: no versions '{}'", row.name, row.versions))?,
        cuda: row.cuda.as_deref().map(cuda).transpose()?,
        cubins: list(&row.cubins)?,
        ptx: list(&row.ptx)?,
        source: source(&row.source)?,
        name: row.name,
        local: row.local,
        platform: row.platform,
    })
}

fn cuda(text: &str) -> Result<CudaVersion, String> {
    CudaVersion::parse(text).ok_or_else(|| format!("no version of CUDA is '{text}'"))
}

fn driver(text: &str) -> Result<DriverVersion, String> {
    text.parse().map_err(|_| format!("no version of a driver is '{text}'"))
}

/// What a wheel brings, by its name, version and platform (`amd64`, `arm64`).
pub(super) fn wheel_of(name: &str, version: &str, platform: &str) -> Option<&'static Wheel> {
    let version: Version = version.parse().ok()?;
    let (local, public) = (version.local(), version.public());
    let for_it = |wheel: &&Wheel| {
        wheel.name == name
            && wheel.local == local
            && wheel.platform.as_deref().is_none_or(|of| of == platform)
            && (wheel.versions.contains(&public) || wheel.versions.contains_prerelease(&public))
    };
    tables().wheels.iter().find(for_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_read_and_consistent() {
        let tables = read(DATA, WHEELS).unwrap();
        for (toolkit, driver) in &tables.toolkits {
            let (least, _) = tables.majors.get(&toolkit.major).unwrap_or_else(|| panic!("CUDA {toolkit}"));
            // Of 11.0 the first driver was older than the one that minor-version compatibility asks for.
            assert!(toolkit.to_string() == "11.0" || driver.is_at_least(least), "CUDA {toolkit}: {driver} < {least}");
        }
        let drivers: Vec<_> = tables.toolkits.values().collect();
        assert!(drivers.windows(2).all(|pair| pair[1].is_at_least(pair[0])), "a later toolkit has a later driver");
        for (cuda, branches) in &tables.forward {
            let own = tables.toolkits.get(cuda).unwrap_or_else(|| panic!("forward {cuda}"));
            assert!(branches.iter().all(|branch| *branch < own.branch()) && branches.is_sorted(), "forward {cuda}");
        }
        for (number, architecture) in &tables.architectures {
            let (first, last) = (architecture.first_cuda.unwrap(), architecture.last_cuda);
            assert!(last.is_none_or(|last| last >= first), "{number}");
            assert!(architecture.first_driver <= architecture.last_driver.or(Some(u32::MAX)), "{number}");
        }
        for gpu in &tables.gpus {
            assert!(tables.architectures.contains_key(&gpu.capability.number), "{gpu:?}");
        }
        let mut names: Vec<_> = tables.gpus.iter().map(|gpu| gpu.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), tables.gpus.len(), "each GPU once");
        assert!(tables.gpus.len() > 150, "{}", tables.gpus.len());
        for wheel in &tables.wheels {
            assert!(!wheel.source.is_empty());
            assert_eq!(wheel.cuda.is_none(), wheel.cubins.is_empty(), "{wheel:?}");
            let cuda = wheel.cuda.unwrap_or(CudaVersion { major: 0, minor: None });
            for architecture in &wheel.cubins {
                let known = tables.architectures.get(&architecture.number).unwrap_or_else(|| panic!("{wheel:?}"));
                let latest = CudaVersion { major: cuda.major, minor: cuda.minor.or(Some(u16::MAX)) };
                assert!(known.first_cuda.is_none_or(|first| first <= latest), "{architecture} of {wheel:?}");
                assert!(known.last_cuda.is_none_or(|last| last.major >= cuda.major), "{architecture} of {wheel:?}");
            }
        }
    }

    /// No two rows speak of the same wheel.
    #[test]
    fn each_wheel_has_one_row() {
        for version in ["1.13.1", "2.0.1", "2.4.1", "2.6.0", "2.7.1", "2.10.0", "2.11.0", "2.14.1", "2.15.0"] {
            for platform in ["amd64", "arm64"] {
                for local in
                    [None, Some("cu118"), Some("cu121"), Some("cu124"), Some("cu126"), Some("cu128"), Some("cu130")]
                {
                    let text = local.map_or(version.to_owned(), |local| format!("{version}+{local}"));
                    let version: Version = text.parse().unwrap();
                    let rows = tables().wheels.iter().filter(|wheel| {
                        wheel.name == "torch"
                            && wheel.local == version.local()
                            && wheel.platform.as_deref() == Some(platform)
                            && wheel.versions.contains(&version.public())
                    });
                    assert!(rows.count() <= 1, "{text} {platform}");
                }
            }
        }
    }
}
