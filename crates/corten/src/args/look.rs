//! What is said to those who look at images and name them.

use clap::Args;

use super::RegistryArguments;

/// `corten inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Name or digest of an image of the store, or HOST/REPOSITORY[:TAG][@DIGEST].
    pub image: String,
    /// Print the bytes of the manifest or index, unchanged.
    #[arg(long)]
    pub raw: bool,
    #[command(flatten)]
    pub look: Look,
}

/// `corten history`.
#[derive(Debug, Args)]
pub struct History {
    /// Name or digest of an image of the store, or HOST/REPOSITORY[:TAG][@DIGEST].
    pub image: String,
    #[command(flatten)]
    pub look: Look,
}

/// `corten diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The one: name or digest of an image of the store, or HOST/REPOSITORY[:TAG][@DIGEST].
    pub from: String,
    /// The other.
    pub to: String,
    /// End with status 1 where anything differs that a container could notice.
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub look: Look,
}

/// Where an image is looked for, and which of several.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Ask the registry, also where the store has the image.
    #[arg(long, conflicts_with = "offline")]
    pub remote: bool,
    /// Which of an index's images [default: that of this machine, else the first].
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten tag`.
#[derive(Debug, Args)]
pub struct Tag {
    /// Name or digest of an image of the store; with --remote, HOST/REPOSITORY[:TAG][@DIGEST].
    pub old: String,
    /// The further names; with --remote, tags of the same repository.
    #[arg(required = true)]
    pub new: Vec<String>,
    /// Do it at the registry, not in the store.
    #[arg(long, conflicts_with = "offline")]
    pub remote: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}
