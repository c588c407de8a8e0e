//! What this machine has of NVIDIA's GPUs, without linking a library of theirs: what the kernel module says in `/proc` and `/sys`, and
//! `nvidia-smi` where it is installed. On a machine without, nothing.
//!
//! | file | says |
//! |---|---|
//! | `/proc/driver/nvidia/version` | version of the kernel module |
//! | `/sys/module/nvidia/version` | the same, where `/proc` is masked |
//! | `/proc/driver/nvidia/gpus/*/information` | `Model:` of each GPU |
//! | `/proc/device-tree/model`, `/etc/nv_tegra_release` | Jetson: which board |

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use corten_check::cuda::gpu;

use crate::timely::{self, Limits};

/// Bytes of a file that is looked at.
const LONGEST: u64 = 64 << 10;
/// GPUs of one machine; 16 is the most that is sold.
const MOST_GPUS: usize = 64;
/// Of `nvidia-smi`; a driver that hangs is no answer.
const SMI: Limits = Limits { bytes: LONGEST, patience: Duration::from_secs(10) };

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Version of the driver.
    pub driver: Option<String>,
    /// In the order of their addresses.
    pub gpus: Vec<HostGpu>,
    /// Where that stands.
    pub sources: Vec<String>,
}

/// A GPU of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostGpu {
    /// As its driver calls it.
    pub name: String,
    /// `9.0`, where it is known.
    pub capability: Option<String>,
    /// `0000:3b:00.0`, where it has one.
    pub address: Option<String>,
}

/// Looks below `root`, where `proc`, `sys` and `etc` are; `/` is this machine. Only there `nvidia-smi` is asked, by its path.
pub fn host(root: &Path, nvidia_smi: Option<&Path>) -> Host {
    let mut host = Host::default();
    for (file, read) in [
        ("proc/driver/nvidia/version", module_version as fn(&str) -> Option<String>),
        ("sys/module/nvidia/version", plain_version),
    ] {
        if host.driver.is_none()
            && let Some(version) = read(&text(&root.join(file)))
        {
            host.driver = Some(version);
            host.sources.push(format!("/{file}"));
        }
    }
    host.gpus = of_proc(root);
    if !host.gpus.is_empty() {
        host.sources.push("/proc/driver/nvidia/gpus".to_owned());
    }
    if host.gpus.is_empty()
        && let Some(board) = jetson(root)
    {
        host.gpus.push(board);
        host.sources.push("/proc/device-tree/model".to_owned());
    }
    if let Some((driver, gpus)) = nvidia_smi.and_then(ask) {
        host.driver = host.driver.or(driver);
        if !gpus.is_empty() {
            host.gpus = gpus;
        }
        host.sources.push("nvidia-smi".to_owned());
    }
    host
}

/// The text of a small file; empty where there is none.
fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // A file of /proc may break off; what came counts.
        let _ = file.take(LONGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 …`, `… Open Kernel Module for x86_64  580.65.06  Release …`.
fn module_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    line.split_ascii_whitespace().find_map(plain_version)
}

fn plain_version(text: &str) -> Option<String> {
    let text = text.trim();
    let is_version = text.contains('.')
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_version.then(|| text.to_owned())
}

fn of_proc(root: &Path) -> Vec<HostGpu> {
    let Ok(folders) = fs::read_dir(root.join("proc/driver/nvidia/gpus")) else { return Vec::new() };
    let mut gpus: Vec<HostGpu> = folders
        .flatten()
        .take(MOST_GPUS)
        .filter_map(|folder| {
            let information = text(&folder.path().join("information"));
            let model = information.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned();
            let address = folder.file_name().to_str().map(str::to_owned);
            Some(named(model, address))
        })
        .collect();
    gpus.sort_by(|one, other| one.address.cmp(&other.address));
    gpus
}

fn named(name: String, address: Option<String>) -> HostGpu {
    let capability = gpu(&name).ok().map(|gpu| corten_check::cuda::dotted(gpu.capability));
    HostGpu { name, capability, address }
}

/// A board whose GPU is no device of a bus.
fn jetson(root: &Path) -> Option<HostGpu> {
    let model = text(&root.join("proc/device-tree/model"));
    let model = model.trim_end_matches('\0').trim();
    let is_board = model.contains("Jetson") || root.join("etc/nv_tegra_release").is_file();
    (is_board && !model.is_empty()).then(|| named(model.to_owned(), None))
}

/// What `nvidia-smi` says: driver, and name, capability and address of each GPU.
fn ask(program: &Path) -> Option<(Option<String>, Vec<HostGpu>)> {
    let mut command = Command::new(program);
    command.args(["--query-gpu=driver_version,name,compute_cap,pci.bus_id", "--format=csv,noheader"]);
    let answer = timely::ask(command, b"", SMI).ok().filter(|answer| answer.good)?;
    Some(answers(&String::from_utf8_lossy(&answer.said)))
}

fn answers(text: &str) -> (Option<String>, Vec<HostGpu>) {
    let mut driver = None;
    let mut gpus = Vec::new();
    for line in text.lines().take(MOST_GPUS) {
        let mut fields = line.split(", ").map(str::trim);
        let (Some(version), Some(name)) = (fields.next(), fields.next()) else { continue };
        driver = driver.or_else(|| plain_version(version));
        let capability = fields.next().and_then(plain_version);
        let mut gpu = named(name.to_owned(), fields.next().map(str::to_owned));
        gpu.capability = capability.or(gpu.capability);
        gpus.push(gpu);
    }
    (driver, gpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_host_without_says_nothing() {
        assert_eq!(host(made(&[]).path(), None), Host::default());
        assert_eq!(host(made(&[]).path(), Some(Path::new("/nonexistent/nvidia-smi"))), Host::default());
    }

    #[test]
    fn driver_and_gpus_are_read_of_proc() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc version 12.2.0\n";
        let root = made(&[
            ("proc/driver/nvidia/version", closed),
            ("proc/driver/nvidia/gpus/0000:af:00.0/information", "Model: \t\t Tesla T4\nIRQ:   \t\t 41\n"),
            ("proc/driver/nvidia/gpus/0000:3b:00.0/information", "Model: \t\t NVIDIA H100 80GB HBM3\n"),
            ("proc/driver/nvidia/gpus/0000:ff:00.0/information", "IRQ: 3\n"),
        ]);
        let host = host(root.path(), None);
        assert_eq!(host.driver.as_deref(), Some("535.104.05"));
        let gpus: Vec<_> = host
            .gpus
            .iter()
            .map(|gpu| (gpu.name.as_str(), gpu.capability.as_deref(), gpu.address.as_deref()))
            .collect();
        assert_eq!(
            gpus,
            [
                ("NVIDIA H100 80GB HBM3", Some("9.0"), Some("0000:3b:00.0")),
                ("Tesla T4", Some("7.5"), Some("0000:af:00.0"))
            ]
        );
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\n";
        assert_eq!(module_version(open).as_deref(), Some("580.65.06"));
    }

    #[test]
    fn masked_proc_jetson_and_hostile_files_are_read_as_far_as_they_go() {
        let masked = host(made(&[("sys/module/nvidia/version", "570.133.20\n")]).path(), None);
        assert_eq!((masked.driver.as_deref(), masked.sources.len()), (Some("570.133.20"), 1));
        let orin = host(made(&[("proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")]).path(), None);
        assert_eq!(orin.gpus[0].capability.as_deref(), Some("8.7"));
        let long = "NVRM version: ".repeat(100_000);
        let hostile = made(&[
            ("proc/driver/nvidia/version", &long),
            ("proc/driver/nvidia/gpus/x/information", "Model: é\u{7}\n"),
        ]);
        let hostile = host(hostile.path(), None);
        assert_eq!((hostile.driver, hostile.gpus[0].capability.as_deref()), (None, None));
    }

    #[test]
    fn nvidia_smi_completes_what_the_kernel_says() {
        let (driver, gpus) =
            answers("550.54.14, NVIDIA A100-SXM4-80GB, 8.0, 00000000:07:00.0\n550.54.14, Some New GPU, 13.0, x\n");
        assert_eq!(driver.as_deref(), Some("550.54.14"));
        assert_eq!(gpus.iter().map(|gpu| gpu.capability.as_deref()).collect::<Vec<_>>(), [Some("8.0"), Some("13.0")]);
        assert_eq!(answers("No devices were found\n"), (None, Vec::new()));
    }
}
