//! What a Dockerfile asks for, with nothing left to expand: stages, each a base and steps, and the config that comes out.

use std::ops::Range;

use corten_oci::{ImageConfig, Platform};

use super::mount::Mount;

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
