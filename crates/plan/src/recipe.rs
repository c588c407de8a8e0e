//! What a Dockerfile asks for, with nothing left to expand: stages, each a base and steps, and the config that comes out.

use std::collections::BTreeMap;
use std::ops::Range;

use corten_oci::{Digest, ImageConfig, Platform};

use crate::GivenLayer;

/// The stages that the target needs, each after those that it needs; the target is the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// SOURCE_DATE_EPOCH: no time in a layer is later; seconds since 1970.
    pub epoch: Option<u64>,
    /// At least one.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// `AS`, else its number as text.
    pub name: String,
    /// What it stands on.
    pub base: Base,
    /// In their order.
    pub steps: Vec<Step>,
    /// Of the image; layers and their history are still to come from the steps that make some.
    pub config: ImageConfig,
}

/// What a stage stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image.
    Image(BaseName),
    /// Another stage of the recipe, by its place.
    Stage(usize),
}

/// An image that must be found before more can be said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseName {
    /// As written, its variables expanded.
    pub image: String,
    /// For which machine.
    pub platform: Platform,
}

/// What changes the files, one layer each.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// As the history says it.
    pub created_by: String,
    /// Bytes of the Dockerfile: its instruction.
    pub range: Range<usize>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// RUN.
    Run(Box<RunAction>),
    /// ADD and COPY.
    Copy(Box<CopyAction>),
    /// WORKDIR: a folder with all above it.
    Folder {
        /// Absolute.
        path: String,
        /// Whose it is; root's where empty.
        user: String,
    },
}

/// RUN.
#[derive(Debug, Clone, PartialEq)]
pub struct RunAction {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// In their order.
    pub environment: Vec<(String, String)>,
    /// Variables that it sees and that change nothing in its result: proxies.
    pub proxies: Vec<(String, String)>,
    /// Absolute.
    pub folder: String,
    /// As written; root where empty.
    pub user: String,
    /// With sources found.
    pub mounts: Vec<(Mount, Files)>,
    /// A script of a here-document: its name below `/dev/pipes`, and its text.
    pub script: Option<(String, String)>,
    /// `default`, `none` or `host`.
    pub network: String,
    /// `sandbox` or `insecure`.
    pub security: String,
    /// Of the container device interface.
    pub devices: Vec<String>,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// Nowhere: an empty folder, or what the mount is by itself.
    None,
    /// The folder that is built.
    Context,
    /// A stage of the recipe, by its place.
    Stage(usize),
    /// An image.
    Image(BaseName),
    /// A folder beside the context, by the name that `--build-context` gives it.
    Folder(String),
}

/// ADD and COPY.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyAction {
    /// What, in their order.
    pub sources: Vec<CopySource>,
    /// Where paths are looked up.
    pub from: Files,
    /// Absolute; a slash at its end says that it is a folder.
    pub destination: String,
    /// `--chown`.
    pub owner: Option<String>,
    /// `--chmod`, octal or in words.
    pub mode: Option<String>,
    /// A layer that does not depend on what is below it.
    pub link: bool,
    /// What stays behind.
    pub exclude: Vec<String>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern, absolute from the root of where it is looked up.
    Path {
        /// With `*` and the like.
        path: String,
        /// `--parents`: what below it keeps its folders.
        parents: Option<String>,
        /// Archives are unpacked.
        unpack: bool,
    },
    /// A text of the Dockerfile itself.
    Inline {
        /// The file's name.
        name: String,
        /// What is in it.
        content: String,
    },
    /// An address.
    Http {
        /// `https://…`.
        url: String,
        /// What the file is named.
        name: String,
        /// `--checksum`.
        checksum: Option<String>,
        /// `--unpack`.
        unpack: bool,
    },
    /// A repository.
    Git {
        /// With `#ref:folder`.
        url: String,
        /// `--keep-git-dir`.
        keep: bool,
        /// `--checksum`: a commit.
        checksum: Option<String>,
    },
}

/// A mount of one RUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Bind and cache: a stage or image; the context or nothing where it is absent.
    pub from: Option<String>,
    /// Bind and cache: a path in there.
    pub source: Option<String>,
    /// Where, as written.
    pub target: Option<String>,
    /// As written.
    pub readonly: Option<bool>,
    /// Cache, secret, ssh.
    pub id: Option<String>,
    /// Cache.
    pub sharing: Sharing,
    /// Secret, ssh.
    pub required: bool,
    /// Secret: the variable that it is, too.
    pub env: Option<String>,
    /// Tmpfs, bytes.
    pub size: Option<u64>,
    /// Cache, secret, ssh.
    pub mode: Option<u32>,
    /// Cache, secret, ssh.
    pub uid: Option<u32>,
    /// Cache, secret, ssh.
    pub gid: Option<u32>,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A folder or file of the context, a stage or an image.
    #[default]
    Bind,
    /// A folder that stays from build to build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A file that no layer, key or log ever holds.
    Secret,
    /// The socket of an agent.
    Ssh,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Each has one of its own.
    Private,
    /// One after the other.
    Locked,
}

/// A recipe whose images are found: nothing in it floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    /// What is done.
    pub recipe: Recipe,
    /// Every image that the recipe names, as a base or as a source of files.
    pub images: BTreeMap<BaseName, PinnedImage>,
}

/// An image that was found: its manifest and config are in the store, and the indexes of its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedImage {
    /// Of its manifest.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, the lowest first. Their bytes may still be at a registry.
    pub layers: Vec<GivenLayer>,
}

/// Bytes as docker reads sizes of memory: `8`, `64m`, `1GiB`, in powers of 1024. None of what is no size.
pub fn memory(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let shift = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}
