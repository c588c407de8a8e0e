//! `corten lint` and `corten rule`, as they are typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use corten_diagnostic::Severity;

use super::Format;
use crate::surroundings::format_of_hadolint;

/// `corten lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Dockerfiles, compose files, and folders that are looked through for them; - is standard input.
    #[arg(value_name = "FILE|FOLDER|-", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Make the fixes that are safe: what is built stays the same, or the rule's page names what changes.
    #[arg(long)]
    pub fix: bool,
    /// Make the other fixes, too: look at what they did.
    #[arg(long)]
    pub unsafe_fixes: bool,
    /// Print what the fixes would change, and write nothing; status 1 where that is anything.
    #[arg(long, conflicts_with_all = ["baseline", "write_baseline", "format"])]
    pub diff: bool,
    /// Findings that this file has do not count.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Note what is found in this file, for --baseline.
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    pub write_baseline: Option<PathBuf>,
    /// How findings are printed on stdout.
    #[arg(long, value_enum, default_value_t = format_of_hadolint())]
    pub format: Format,
    /// Ask these rules alone: DL3008, StageNameCasing, or the beginning of numbers, as DL or SC20; `all`.
    #[arg(long, value_name = "RULE[,…]", value_delimiter = ',')]
    pub select: Vec<String>,
    /// Ask these rules too, which are silent unless they are asked for.
    #[arg(long, value_name = "RULE[,…]", value_delimiter = ',')]
    pub extend_select: Vec<String>,
    /// Do not ask these rules.
    #[arg(long, value_name = "RULE[,…]", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// The least severity that ends with status 1 [default: info: any finding].
    #[arg(long, visible_alias = "failure-threshold", value_enum, value_name = "SEVERITY")]
    pub threshold: Option<ThresholdArgument>,
    /// End with status 0 whatever is found.
    #[arg(long)]
    pub no_fail: bool,
    /// In folders, look also at files that .gitignore leaves out.
    #[arg(long)]
    pub no_respect_gitignore: bool,
    /// Settings, .hadolint.yaml or corten.toml [default: those of each file's folder, or the nearest above].
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Comments in the file silence nothing.
    #[arg(long)]
    pub disable_ignore_pragma: bool,
    /// Ask ShellCheck, too, which has to be installed. `--select` does not limit its codes.
    #[arg(long)]
    pub shellcheck: bool,
    /// What standard input is called in findings; settings are those of its folder.
    #[arg(long, value_name = "NAME", default_value = "Dockerfile")]
    pub stdin_filename: PathBuf,
    /// Version of the NVIDIA driver that containers will find.
    #[arg(long, value_name = "VERSION")]
    pub driver: Option<String>,
    /// GPU that containers will find (may be given several times).
    #[arg(long = "gpu", value_name = "NAME")]
    pub gpus: Vec<String>,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThresholdArgument {
    /// What is wrong.
    Error,
    /// What most people would change.
    Warning,
    /// Any finding.
    #[value(alias = "style")]
    Info,
    /// No finding.
    #[value(alias = "ignore")]
    None,
}

impl ThresholdArgument {
    /// None where nothing fails.
    pub fn meant(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Info => Some(Severity::Info),
            Self::None => None,
        }
    }
}

/// `corten rule`.
#[derive(Debug, Args)]
pub struct Rule {
    /// DL3008, StageNameCasing, SC2086, ML151 [default: a list of all].
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}
