//! What is said of registries, and of files that stand for them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::quantities;

/// `corten push`.
#[derive(Debug, Args)]
pub struct Push {
    /// Name, name and tag, or digest of an image of the store.
    pub image: String,
    /// Where to: HOST/REPOSITORY:TAG (may be given several times) [default: the image's own name].
    #[arg(value_name = "REFERENCE")]
    pub to: Vec<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// HOST/REPOSITORY:TAG, or @DIGEST.
    #[arg(value_name = "REFERENCE")]
    pub image: String,
    /// Which image of an index: OS/ARCHITECTURE, or `all` [default: this machine's].
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten resolve`.
#[derive(Debug, Args)]
pub struct Resolve {
    /// HOST/REPOSITORY:TAG.
    #[arg(value_name = "REFERENCE")]
    pub image: String,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten login`.
#[derive(Debug, Args)]
pub struct Login {
    /// The registry [default: docker.io].
    #[arg(default_value = "docker.io", value_name = "HOST")]
    pub host: String,
    /// Who.
    #[arg(long, short)]
    pub username: String,
    /// Read the password, or a token, from stdin.
    #[arg(long, required = true)]
    pub password_stdin: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten logout`.
#[derive(Debug, Args)]
pub struct Logout {
    /// The registry [default: docker.io].
    #[arg(default_value = "docker.io", value_name = "HOST")]
    pub host: String,
}

/// `corten save`.
#[derive(Debug, Args)]
pub struct Save {
    /// Name, name and tag, or digest of an image of the store.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The file; `-` is standard output, as without it.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Of several platforms this one alone [default: all].
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten load`.
#[derive(Debug, Args)]
pub struct Load {
    /// The file; `-` is standard input, as without it.
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,
}

/// `corten registry`.
#[derive(Debug, Args)]
pub struct Registry {
    #[command(subcommand)]
    pub command: RegistryCommand,
}

/// What can be done as a registry.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve the images of the store, and take others, until interrupted.
    Serve(Serve),
}

/// `corten registry serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 means any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// Let in these users alone; a file that `htpasswd -B` made.
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// Let this user pull, and neither push nor delete (may be given several times).
    #[arg(long, value_name = "NAME", requires = "htpasswd")]
    pub reader: Vec<String>,
    /// Speak TLS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Refuse pushes and deletes.
    #[arg(long)]
    pub read_only: bool,
    /// Listen where others can reach it, although it has no users or no TLS.
    #[arg(long)]
    pub insecure_listen: bool,
    /// Refuse larger blobs than this: 20GB, 500MB, bytes [default: 256 GiB].
    #[arg(long, value_name = "SIZE", value_parser = quantities::size)]
    pub largest_blob: Option<u64>,
    /// Print a line about each request on stderr.
    #[arg(long)]
    pub log_requests: bool,
    /// Fetch first what lies at other registries alone: layers of bases that nobody has needed yet.
    #[arg(long)]
    pub bring: bool,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// How registries are reached.
#[derive(Debug, Clone, Args)]
pub struct RegistryArguments {
    /// Reach this registry without TLS (may be given several times); loopback always is.
    #[arg(long = "plain-http", value_name = "HOST[:PORT]")]
    pub plain: Vec<String>,
    /// Look for what a registry has at a mirror first, for instance docker.io=mirror.example (may be given several times).
    #[arg(long, env = "CORTEN_REGISTRY_MIRRORS", value_name = "REGISTRY=MIRROR", value_delimiter = ',')]
    pub registry_mirror: Vec<String>,
}
