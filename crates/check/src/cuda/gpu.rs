//! Names of GPUs, as people and drivers write them, and what each can run.
//!
//! `NVIDIA A100-SXM4-80GB`, `a100` and `Tesla A100 PCIe 40GB` are the same GPU to us. A compute capability (`9.0`, `sm_90`) will do,
//! too, where a name is not known.

use corten_elf::GpuArchitecture;

use super::data::tables;

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// As the table has it: `RTX 4090`; of a compute capability, that.
    pub name: String,
    /// Compute capability 9.0 is 90.
    pub capability: GpuArchitecture,
    /// What it is made for; none where only its capability was said.
    pub class: Option<GpuClass>,
}

/// What a GPU is made for: decides about compatibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuClass {
    /// Servers. cuda-compat works.
    DataCentre,
    /// Workstations. cuda-compat works on some in certified servers.
    Workstation,
    /// Games. cuda-compat fails with error 804.
    Geforce,
    /// Jetson boards: their architectures run nothing of others.
    Jetson,
}

impl GpuClass {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataCentre => "data centre",
            Self::Workstation => "workstation",
            Self::Geforce => "GeForce",
            Self::Jetson => "Jetson",
        }
    }
}

/// A name that no GPU has; those that begin like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownGpu {
    /// A few that may have been meant.
    pub like: Vec<String>,
}

/// Words that do not tell GPUs apart: makers, families, cards, memory.
const NOISE: [&str; 23] = [
    "nvidia",
    "geforce",
    "tesla",
    "quadro",
    "gpu",
    "graphics",
    "generation",
    "edition",
    "laptop",
    "mobile",
    "max",
    "q",
    "pcie",
    "sxm",
    "oam",
    "hbm",
    "workstation",
    "device",
    "graphicsdevice",
    "superchip",
    "developer",
    "kit",
    "ac",
];
/// How many are suggested.
const MOST_LIKE: usize = 5;

/// The GPU of a name, or of a compute capability.
///
/// # Errors
/// Names that are not in the table.
pub fn gpu(name: &str) -> Result<Gpu, UnknownGpu> {
    let key = key(name);
    if let Some(known) = tables().gpus.iter().find(|gpu| self::key(&gpu.name) == key) {
        return Ok(known.clone());
    }
    let text = name.trim().to_ascii_lowercase();
    if let Ok(capability) = text.parse::<GpuArchitecture>() {
        return Ok(Gpu { name: dotted(capability), capability: GpuArchitecture::open(capability.number), class: None });
    }
    let mut like: Vec<(usize, &Gpu)> =
        tables().gpus.iter().map(|gpu| (shared(&self::key(&gpu.name), &key), gpu)).collect();
    like.retain(|(shared, _)| *shared > 1);
    like.sort_by_key(|(shared, gpu)| (std::cmp::Reverse(*shared), gpu.name.len()));
    Err(UnknownGpu { like: like.into_iter().take(MOST_LIKE).map(|(_, gpu)| gpu.name.clone()).collect() })
}

/// `9.0`.
pub fn dotted(architecture: GpuArchitecture) -> String {
    format!("{}.{}", architecture.number / 10, architecture.number % 10)
}

/// How many letters two names begin with alike.
fn shared(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// What two spellings of one name share.
fn key(name: &str) -> String {
    words(name).concat()
}

fn words(name: &str) -> Vec<String> {
    let lower = name.to_ascii_lowercase();
    // What a driver says of a part of a GPU: `A100 80GB PCIe MIG 1g.10gb`.
    let whole = lower.split(" mig ").next().unwrap_or_default();
    let words = whole.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !is_noise(word)).map(str::to_owned).collect()
}

fn is_noise(word: &str) -> bool {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let amount = word.strip_suffix("gb").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    amount || NOISE.contains(&word) || ["sxm", "hbm"].contains(&stem) || word == "hbm2e" || word == "hbm3e"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(name: &str) -> String {
        gpu(name).map(|gpu| dotted(gpu.capability)).unwrap_or_else(|unknown| format!("? {}", unknown.like.join(", ")))
    }

    /// Names as `nvidia-smi -L` prints them.
    #[test]
    fn names_are_known_as_drivers_and_people_write_them() {
        for (name, expected) in [
            ("NVIDIA A100-SXM4-80GB", "8.0"),
            ("NVIDIA A100 80GB PCIe MIG 1g.10gb", "8.0"),
            ("NVIDIA H100 80GB HBM3", "9.0"),
            ("H100 NVL", "9.0"),
            ("NVIDIA GH200 480GB", "9.0"),
            ("Tesla T4", "7.5"),
            ("Tesla V100-SXM2-16GB", "7.0"),
            ("NVIDIA L40S", "8.9"),
            ("NVIDIA A10G", "8.6"),
            ("NVIDIA GeForce RTX 4090", "8.9"),
            ("NVIDIA GeForce RTX 4070 Ti SUPER", "8.9"),
            ("NVIDIA GeForce RTX 3060 Laptop GPU", "8.6"),
            ("rtx5090", "12.0"),
            ("Quadro RTX 6000", "7.5"),
            ("NVIDIA RTX 6000 Ada Generation", "8.9"),
            ("NVIDIA RTX A6000", "8.6"),
            ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0"),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0"),
            ("NVIDIA B200", "10.0"),
            ("NVIDIA B300 SXM6 AC", "10.3"),
            ("NVIDIA GB10", "12.1"),
            ("Orin", "8.7"),
            ("NVIDIA Jetson AGX Orin Developer Kit", "8.7"),
            ("sm_90", "9.0"),
            ("12.0", "12.0"),
            ("compute_75", "7.5"),
            ("", "? "),
            ("é", "? "),
        ] {
            assert_eq!(capability(name), expected, "{name}");
        }
        assert_eq!(gpu("rtx 4099").unwrap_err().like.first().map(String::as_str), Some("RTX 4090"));
    }
}
