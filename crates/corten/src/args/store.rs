//! What is said to the store.

use clap::{Args, Subcommand};

use crate::args::RegistryArguments;
use crate::quantities;

/// `corten store`.
#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What can be done with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read every byte of the store and compare it with its name.
    Verify,
    /// Take away what is damaged, and bring back what images lack: from registries that had it, else told with the command
    /// that makes it.
    Repair {
        #[command(flatten)]
        registry: RegistryArguments,
    },
    /// Say what holds how much: each image with and without what it shares, and everything else by kind.
    Size,
}

/// `corten images`.
#[derive(Debug, Args)]
pub struct Images {
    #[command(subcommand)]
    pub command: Option<ImagesCommand>,
}

/// What can be done with names.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// Take names away; what nothing else needs is freed by `corten prune`.
    Rm {
        /// Names of images of the store [default tag: latest].
        #[arg(required = true, value_name = "NAME[:TAG]")]
        names: Vec<String>,
    },
}

/// `corten prune`.
///
/// Without options everything goes that no named image needs: wheels, Debian packages, layers and results that make
/// the next build fast. What running commands use always stays.
#[derive(Debug, Args)]
pub struct Prune {
    /// Remove no more than is needed for the store to have this size.
    #[arg(long, value_name = "SIZE", value_parser = quantities::size, alias = "reserved-space")]
    pub keep_storage: Option<u64>,
    /// Remove only what nobody used for this long: until=720h; only cache mounts: type=exec.cachemount (may be given several
    /// times).
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Remove named images, too, and the layouts that `ship` wrote.
    #[arg(long, short)]
    pub all: bool,
    /// Remove nothing; say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short, visible_alias = "force", visible_short_alias = 'f')]
    pub yes: bool,
}
