//! What an image that others made is, found by reading its files: its Python, its C library, its packages. Nothing of it
//! runs.
//!
//! | fact | found in |
//! |---|---|
//! | which Python | the first `python3` of the image's PATH whose standard library is there, links followed |
//! | its version | dpkg's version of `python3.X-minimal`; else `patchlevel.h`; else the text in the program or `libpython` |
//! | the C library's version | what `libc.so.6` says of itself |
//! | distribution | `etc/os-release` (freedesktop.org, os-release(5)) |
//! | Debian packages | dpkg's `status`, and `status.d` as distroless images have it, layer by layer: a package is of the layer that first lists it |
//! | Python packages | `*.dist-info` of every `site-packages` and `dist-packages` |

mod inventory;
mod packages;
mod python;

use std::io;

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::tree::{Node, Tree, TreeError};
use corten_oci::{Architecture, DiffId, LayerIndex, LayerPath};

pub use inventory::{Listed, inventory};
pub use packages::{InVenv, Package, distribution_of};
pub use python::Interpreter;

/// Bytes of a text that is read.
const LARGEST_TEXT: u64 = 32 << 20;
/// Bytes of a program that is read.
const LARGEST_PROGRAM: u64 = 256 << 20;

/// Reads files of the image, in their order.
pub type ReadFiles<'a> = dyn Fn(&[Node]) -> io::Result<Vec<Vec<u8>>> + 'a;

/// An image, before anything is known of it.
pub struct Image<'a> {
    /// Its layers' indexes, lowest first.
    pub layers: &'a [(DiffId, &'a LayerIndex)],
    /// Its variables, `NAME=value`.
    pub environment: &'a [String],
    /// For which processor it is.
    pub architecture: Architecture,
    /// Where a virtual environment of ours would be: `opt/venv`.
    pub prefix: &'a str,
    /// Its files' bytes.
    pub read: &'a ReadFiles<'a>,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its Python.
    pub python: Interpreter,
    /// Major and minor version of the GNU C library.
    pub glibc: (u32, u32),
    /// Debian's release by name, where it is Debian: `bookworm`; else empty.
    pub suite: String,
    /// Packages, with the layer that each came with.
    pub packages: Vec<(DiffId, Package)>,
    /// What is installed where our virtual environment would be.
    pub in_venv: Vec<InVenv>,
    /// `etc/passwd` and `etc/group`; empty where there are none.
    pub accounts: (String, String),
}

/// Why an image is no base for Python.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its layers do not make a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its bytes cannot be read.
    #[error("reading /{path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It has no Python that is whole.
    #[error("no Python was found in it: {why}")]
    NoPython {
        /// Where was looked.
        why: String,
    },
    /// Wheels do not run on it.
    #[error("{0}")]
    Unsuitable(String),
}

impl Diagnose for ImageError {
    fn fault(&self) -> Fault {
        match self {
            Self::Read { .. } => Fault::World,
            _ => Fault::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoPython { .. } => {
                vec!["take an image with Python 3, or \"debian:bookworm\" or \"debian:trixie\"".into()]
            }
            Self::Unsuitable(_) => {
                vec!["take an image with the GNU C library, of the platform that is built for".into()]
            }
            Self::Tree(error) => error.hints(),
            Self::Read { .. } => Vec::new(),
        }
    }
}

/// Finds out what an image is.
///
/// # Errors
/// See [`ImageError`].
pub fn look(image: &Image<'_>) -> Result<Facts, ImageError> {
    let tree = Tree::new(image.layers.iter().copied())?;
    let files = Files { tree: &tree, read: image.read };
    let glibc = glibc(&files, image.architecture)?;
    let (id, suite) = distribution(&files)?;
    let packages = packages::debian(image, &files, &id, &suite)?;
    let python = python::find(image, &files, &packages)?;
    let (found, in_venv) = packages::python(&tree, image.prefix, &python);
    let accounts = (files.text("etc/passwd")?.unwrap_or_default(), files.text("etc/group")?.unwrap_or_default());
    let suite = if id == "debian" { suite } else { String::new() };
    Ok(Facts { python, glibc, suite, packages: packages.into_iter().chain(found).collect(), in_venv, accounts })
}

/// All packages that an image's own databases name, each with the layer that it came with; whatever else the image is.
///
/// # Errors
/// Where its layers do not make a tree, or its databases cannot be read.
pub fn packages(image: &Image<'_>) -> Result<Vec<(DiffId, Package)>, ImageError> {
    let tree = Tree::new(image.layers.iter().copied())?;
    let files = Files { tree: &tree, read: image.read };
    let (id, suite) = distribution(&files)?;
    let debian = packages::debian(image, &files, &id, &suite)?;
    let python = packages::distributions(&tree).map(|(node, _, package)| (node.layer, package));
    Ok(debian.into_iter().chain(python).collect())
}

/// Finds an image's Python alone.
///
/// # Errors
/// See [`ImageError`].
pub fn python(image: &Image<'_>) -> Result<Interpreter, ImageError> {
    let tree = Tree::new(image.layers.iter().copied())?;
    python::find(image, &Files { tree: &tree, read: image.read }, &[])
}

/// An image's files by path.
struct Files<'a> {
    tree: &'a Tree,
    read: &'a ReadFiles<'a>,
}

impl Files<'_> {
    /// What a path leads to inside the image.
    fn node(&self, path: &str) -> Option<&Node> {
        let node = self.tree.resolve(&LayerPath::new(path).ok()?)?;
        (node.entry.kind == corten_oci::Kind::File).then_some(node)
    }

    fn bytes(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(node) = self.node(path) else { return Ok(None) };
        self.content(node, limit).map(Some)
    }

    fn content(&self, node: &Node, limit: u64) -> Result<Vec<u8>, ImageError> {
        let path = || node.entry.path.to_string();
        if node.entry.size > limit {
            return Err(ImageError::Unsuitable(format!("/{} has {} bytes, which is absurd", path(), node.entry.size)));
        }
        let read = (self.read)(std::slice::from_ref(node));
        let mut read = read.map_err(|source| ImageError::Read { path: path(), source })?;
        Ok(read.pop().unwrap_or_default())
    }

    /// A text, whatever bytes are wrong in it.
    fn text(&self, path: &str) -> Result<Option<String>, ImageError> {
        let bytes = self.bytes(path, LARGEST_TEXT)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// ID and VERSION_CODENAME; empty where they are not told.
fn distribution(files: &Files<'_>) -> Result<(String, String), ImageError> {
    let text = match files.text("etc/os-release")? {
        Some(text) => text,
        None => files.text("usr/lib/os-release")?.unwrap_or_default(),
    };
    let value = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let value = value.unwrap_or_default().trim().trim_matches(['"', '\'']);
        let plain = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if plain { value.to_owned() } else { String::new() }
    };
    Ok((value("ID"), value("VERSION_CODENAME")))
}

/// What `libc.so.6` says when it is run: `GNU C Library (…) stable release version 2.36.`
fn glibc(files: &Files<'_>, architecture: Architecture) -> Result<(u32, u32), ImageError> {
    let triplet = architecture.triplet();
    let places = [
        format!("lib/{triplet}"),
        format!("usr/lib/{triplet}"),
        "lib64".into(),
        "usr/lib64".into(),
        "lib".into(),
        "usr/lib".into(),
    ];
    for place in places {
        let Some(bytes) = files.bytes(&format!("{place}/libc.so.6"), LARGEST_PROGRAM)? else { continue };
        let said = python::after(&bytes, b" release version ").and_then(version);
        return said.ok_or_else(|| {
            ImageError::Unsuitable(format!("/{place}/libc.so.6 does not say which version of the GNU C library it is"))
        });
    }
    let musl = format!("lib/ld-musl-{}.so.1", architecture.machine());
    Err(ImageError::Unsuitable(match files.node(&musl) {
        Some(_) => "it is made with musl, whose Python takes other wheels than those of manylinux".to_owned(),
        None => format!("it has no GNU C library for linux/{architecture}"),
    }))
}

/// The first two numbers of `2.36.`
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
