//! Two images side by side: config, layers, files and packages, from indexes alone.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::{Failure, Report};
use corten_layer::tree::{Node, Tree};
use corten_oci::{Digest, ImageConfig, Kind, LayerPath};

use super::inspect::{LayerView, View, image};
use super::packages::{Contents, contents};
use super::{Found, Place};

/// One of the two.
#[derive(Debug, Clone)]
pub struct Side {
    /// As typed.
    pub name: String,
    /// Where it was found.
    pub place: Place,
    /// Of the manifest of the image that was compared.
    pub digest: Digest,
    /// What it is for.
    pub platform: String,
    /// Bytes of all layers, as they are kept and sent.
    pub size: u64,
    /// Bytes of all files of all layers.
    pub unpacked: u64,
}

/// What is different.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The one.
    pub from: Side,
    /// The other.
    pub to: Side,
    /// Fields of the config that differ, by name; variables and labels each by its own.
    pub config: Vec<Field>,
    /// Layers by their bytes.
    pub layers: Layers,
    /// Files that differ, by path.
    pub files: Vec<FileChange>,
    /// Packages that differ, by kind and name.
    pub packages: Vec<PackageChange>,
}

impl Difference {
    /// Is nothing different that a container could notice?
    pub fn is_empty(&self) -> bool {
        self.config.is_empty() && self.files.is_empty() && self.packages.is_empty()
    }
}

/// A field of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// For instance `user`, `env.PATH`, `label.version`.
    pub name: String,
    /// None where it is absent.
    pub from: Option<String>,
    /// None where it is absent.
    pub to: Option<String>,
}

/// Layers of both, of the one, of the other.
#[derive(Debug, Clone)]
pub struct Layers {
    /// In both.
    pub shared: Vec<LayerView>,
    /// In the one alone.
    pub removed: Vec<LayerView>,
    /// In the other alone.
    pub added: Vec<LayerView>,
}

/// How a file or package differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is in the other alone.
    Added,
    /// It is in the one alone.
    Removed,
    /// It is in both, and not the same.
    Changed,
}

impl Change {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }

    fn of<T>(from: Option<&T>, to: Option<&T>) -> Self {
        match (from, to) {
            (None, _) => Self::Added,
            (_, None) => Self::Removed,
            _ => Self::Changed,
        }
    }
}

/// A file that differs.
#[derive(Debug, Clone)]
pub struct FileChange {
    /// Below the root.
    pub path: LayerPath,
    /// How.
    pub change: Change,
    /// In the one.
    pub from: Option<FileState>,
    /// In the other.
    pub to: Option<FileState>,
    /// What of a changed file: `content`, `kind`, `mode`, `owner`, `target`.
    pub what: Vec<&'static str>,
    /// The package URL of the package that it belongs to.
    pub package: Option<String>,
}

impl FileChange {
    /// Bytes that the other has more.
    pub fn growth(&self) -> i64 {
        let size = |state: &Option<FileState>| state.map_or(0, |state| i64::try_from(state.size).unwrap_or(i64::MAX));
        size(&self.to).saturating_sub(size(&self.from))
    }
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Bytes of its content.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// `file`, `directory`, `link`, `device`, `pipe`.
    pub kind: &'static str,
}

/// A package that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Type of its package URL: `pypi`, `deb`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Version in the one.
    pub from: Option<String>,
    /// Version in the other.
    pub to: Option<String>,
}

/// Compares two images.
///
/// # Errors
/// Input where one is no image, or none for the platform; world where layers of a registry cannot be had.
pub fn diff(one: &Found<'_>, other: &Found<'_>, platform: Option<&str>) -> Result<Difference, Report> {
    let (mut from, mut to) = (image(one, platform)?, image(other, platform)?);
    let (before, after) = (contents(one, &from)?, contents(other, &to)?);
    from.learn(&one.world)?;
    to.learn(&other.world)?;
    let layers = layers(&from, &to);
    Ok(Difference {
        config: fields(config(&from, one)?, config(&to, other)?),
        layers,
        files: files(&before.tree, &after.tree),
        packages: packages(&before.packages, &after.packages),
        from: side(one, &from, &before),
        to: side(other, &to, &after),
    })
}

fn side(found: &Found<'_>, view: &View, contents: &Contents) -> Side {
    Side {
        name: found.name.clone(),
        place: found.place,
        digest: view.digest,
        platform: view.platform().map(|platform| platform.to_string()).unwrap_or_default(),
        size: view.size(),
        unpacked: contents.unpacked,
    }
}

fn config<'v>(view: &'v View, found: &Found<'_>) -> Result<&'v ImageConfig, Report> {
    let artifact = || Failure::input(format!("{} is no image: it is an artifact", found.name)).into();
    view.config.as_ref().ok_or_else(artifact)
}

/// Every field of a config by a name, as one text.
pub fn named(config: &ImageConfig) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.insert(name.to_owned(), value);
        }
    };
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|words| serde_json::json!(words).to_string());
    let sorted = |list: &Option<Vec<String>>| {
        let sorted = list.as_ref().map(|words| words.iter().map(String::as_str).collect::<BTreeSet<_>>());
        sorted.map(|words| words.into_iter().collect::<Vec<_>>().join(" "))
    };
    let inner = &config.config;
    put("created", config.created.clone());
    put("author", config.author.clone());
    put("os", Some(config.os.clone()));
    put("architecture", Some(config.architecture.clone()));
    put("variant", config.variant.clone());
    put("user", Some(inner.user.clone()));
    put("entrypoint", list(&inner.entrypoint));
    put("cmd", list(&inner.cmd));
    put("workdir", Some(inner.working_dir.clone()));
    put("ports", sorted(&inner.exposed_ports));
    put("volumes", sorted(&inner.volumes));
    put("stop-signal", inner.stop_signal.clone());
    put("shell", list(&inner.shell));
    put("onbuild", list(&inner.on_build));
    put("healthcheck", inner.healthcheck.as_ref().map(|check| serde_json::json!(check).to_string()));
    for variable in inner.env.iter().flatten() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        // Set to nothing is not the same as absent.
        all.insert(format!("env.{name}"), value.to_owned());
    }
    for (name, value) in inner.labels.iter().flatten() {
        all.insert(format!("label.{name}"), value.clone());
    }
    all
}

fn fields(from: &ImageConfig, to: &ImageConfig) -> Vec<Field> {
    let (from, to) = (named(from), named(to));
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let field = |name: &String| Field { name: name.clone(), from: from.get(name).cloned(), to: to.get(name).cloned() };
    names.into_iter().map(field).filter(|field| field.from != field.to).collect()
}

fn layers(from: &View, to: &View) -> Layers {
    let digests = |view: &View| view.layers.iter().map(|layer| layer.blob.digest).collect::<BTreeSet<_>>();
    let (before, after) = (digests(from), digests(to));
    let of = |view: &View, fits: &dyn Fn(&Digest) -> bool| {
        view.layers.iter().filter(|layer| fits(&layer.blob.digest)).cloned().collect::<Vec<_>>()
    };
    Layers {
        shared: of(to, &|digest| before.contains(digest)),
        removed: of(from, &|digest| !after.contains(digest)),
        added: of(to, &|digest| !before.contains(digest)),
    }
}

fn files(from: &Tree, to: &Tree) -> Vec<FileChange> {
    let mut changes = Vec::new();
    let mut after = to.iter().peekable();
    // Both in byte order of their paths.
    for (path, node) in from.iter() {
        while let Some((_, other)) = after.next_if(|(other, _)| *other < path) {
            changes.push(change(None, Some(other)));
        }
        match after.next_if(|(other, _)| *other == path) {
            None => changes.push(change(Some(node), None)),
            Some((_, other)) => changes.extend(Some(change(Some(node), Some(other))).filter(|it| !it.what.is_empty())),
        }
    }
    changes.extend(after.map(|(_, other)| change(None, Some(other))));
    changes
}

fn change(from: Option<&Node>, to: Option<&Node>) -> FileChange {
    let either = to.or(from);
    FileChange {
        path: either.map(|node| node.entry.path.clone()).unwrap_or_default(),
        change: Change::of(from, to),
        from: from.map(state),
        to: to.map(state),
        what: from.zip(to).map(|(from, to)| what(from, to)).unwrap_or_default(),
        package: either.and_then(|node| node.entry.package.clone()),
    }
}

fn state(node: &Node) -> FileState {
    let entry = &node.entry;
    let kind = match &entry.kind {
        Kind::File | Kind::HardLink(_) => "file",
        Kind::Directory => "directory",
        Kind::Symlink(_) => "link",
        Kind::CharacterDevice(..) | Kind::BlockDevice(..) => "device",
        Kind::Fifo => "pipe",
        Kind::Whiteout | Kind::Opaque => "mark",
    };
    FileState { size: entry.size, mode: entry.mode, owner: (entry.uid, entry.gid), kind }
}

/// What of a file differs. Contents are the same where they lie at the same place of the same layer, or have the same
/// size and CRC-32; a layer that does not know its sums is compared by place and size alone.
fn what(from: &Node, to: &Node) -> Vec<&'static str> {
    let (before, after) = (state(from), state(to));
    let mut what = Vec::new();
    match (&from.entry.kind, &to.entry.kind) {
        _ if before.kind != after.kind => what.push("kind"),
        (Kind::Symlink(from), Kind::Symlink(to)) if from != to => what.push("target"),
        (Kind::Symlink(_), _) | (Kind::Directory, _) => {}
        (one, other) if before.kind == "device" && one != other => what.push("kind"),
        _ if before.kind == "file" && !same_content(from, to) => what.push("content"),
        _ => {}
    }
    // The permissions of a link mean nothing.
    if before.mode != after.mode && before.kind != "link" {
        what.push("mode");
    }
    if before.owner != after.owner {
        what.push("owner");
    }
    what
}

fn same_content(from: &Node, to: &Node) -> bool {
    if from.layer == to.layer && from.entry.offset == to.entry.offset {
        return true;
    }
    from.entry.size == to.entry.size
        && match (from.entry.crc32, to.entry.crc32) {
            (Some(from), Some(to)) => from == to,
            _ => from.entry.size == 0,
        }
}

fn packages(from: &BTreeMap<(String, String), String>, to: &BTreeMap<(String, String), String>) -> Vec<PackageChange> {
    let names: BTreeSet<&(String, String)> = from.keys().chain(to.keys()).collect();
    let change = |key: &(String, String)| PackageChange {
        kind: key.0.clone(),
        name: key.1.clone(),
        from: from.get(key).cloned(),
        to: to.get(key).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.from != change.to).collect()
}
