//! `corten gpu`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RegistryArguments;

/// `corten gpu`.
#[derive(Debug, Args)]
pub struct Gpu {
    #[command(subcommand)]
    pub command: Option<GpuCommand>,
    #[command(flatten)]
    pub host: HostArguments,
}

/// Where the host's own driver and GPUs are looked for.
#[derive(Debug, Clone, Args)]
pub struct HostArguments {
    /// Where /proc, /sys and /etc are.
    #[arg(long, global = true, hide = true, default_value = "/", value_name = "FOLDER")]
    pub root: PathBuf,
}

/// What an image is to run on.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetArguments {
    /// Driver that the image is for, version or branch: 580.65.06, 535 [default: this machine's, where it has one
    /// and no --gpu is given: another GPU is another machine].
    #[arg(long, value_name = "VERSION")]
    pub driver: Option<String>,
    /// GPU that the image is for, name or compute capability: H100, 'RTX 4090', 9.0; `none` for processors alone (may be
    /// given several times) [default: those of this machine].
    #[arg(long, value_name = "NAME[,…]", value_delimiter = ',')]
    pub gpu: Vec<String>,
}

/// What can be asked about GPUs.
#[derive(Debug, Subcommand)]
pub enum GpuCommand {
    /// Say whether CUDA's driver, the GPUs and the code in the libraries fit; status 1 where they do not.
    Check(Box<GpuCheck>),
}

/// `corten gpu check`.
#[derive(Debug, Args)]
pub struct GpuCheck {
    /// The project's folder, its lock, or an image: of the store, or HOST/REPOSITORY[:TAG][@DIGEST].
    #[arg(default_value = ".", value_name = "FOLDER|LOCK|IMAGE")]
    pub subject: String,
    #[command(flatten)]
    pub target: TargetArguments,
    /// For which platforms [default: a project's linux/amd64, all of an image].
    #[arg(long, value_name = "OS/ARCHITECTURE[,…]", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Install this dependency group too (may be given several times).
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Install this extra of the project (may be given several times).
    #[arg(long = "extra", value_name = "NAME")]
    pub extras: Vec<String>,
    /// Ask the image's registry, also where the store has it.
    #[arg(long, conflicts_with = "offline")]
    pub remote: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The error as it was printed, or a part of it; `-` reads a log from standard input.
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<String>,
}
