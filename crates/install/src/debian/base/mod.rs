//! Makes the files of a base from .debs, without running a maintainer script.
//!
//! ```text
//! .debs ──read in parallel──► unpack ──► effects of scripts ──► bytecode ──► ld.so.cache ──► checks ──► dpkg database
//! ```
//!
//! The order matters: alternatives add links that the cache must see; the checks look at the files as they will be.
//! Nothing depends on the clock, the host's files, or the order in which the .debs are given.

mod dockerfiles;
mod effects;
mod extra;
mod files;
mod prune;
mod scripts;
mod tree;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::write::LayerWriter;
use corten_oci::{Architecture, Entry, Kind, LayerPath};
use corten_package::Purl;
use corten_store::StoreError;

use super::bytecode::{self, Bytecode};
use super::closure::{self, Unresolved};
use super::control::Control;
use super::deb::{ControlMember, Deb, DebError, DebFile};
use super::seeds::Debian;
use super::{Variant, dpkg, ldcache};

pub use effects::{check_name, check_scripts, undone};
pub use extra::{ExtraOptions, add_packages};
pub(super) use prune::is_partial;
pub use tree::{Node, NodeKind, Tree, TreeError};

/// How a base is made.
#[derive(Clone, Copy)]
pub struct BaseOptions<'a> {
    /// `bookworm`.
    pub suite: &'a str,
    /// How much of Debian.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Seconds since 1970: the date of everything that has one.
    pub epoch: u64,
    /// The packages that were asked for beside the variant's own; apt takes all others of a slim base for installed
    /// by themselves.
    pub seeds: &'a [String],
    /// Minor version of its Python: `(3, 11)`; none for a base without.
    pub python: Option<(u32, u32)>,
    /// Makes bytecode of the standard library; without, there is none.
    pub bytecode: Option<&'a dyn Bytecode>,
    /// Whose interpreter does that; none: the base's own.
    pub compiler: Option<Compiler<'a>>,
    /// What makes a slim base one for Dockerfiles; none for images of Corten's own.
    pub dockerfiles: Option<ForDockerfiles<'a>>,
    /// An empty folder of the caller's, where the interpreter is unpacked to. The caller takes it away.
    pub scratch: &'a Path,
    /// How many .debs are unpacked at once.
    pub jobs: NonZeroUsize,
}

/// What a base for Dockerfiles has that images of Corten's own do without ([`dockerfiles`] has what follows from it).
#[derive(Debug, Clone, Copy)]
pub struct ForDockerfiles<'a> {
    /// Packages of which only what compilers read is unpacked; dpkg does not know of them.
    pub headers: &'a [String],
}

/// A Python of the same version for another processor, which runs where the base's own does not.
///
/// Bytecode does not depend on the processor: `marshal` writes every number little-endian and of a fixed width, and
/// what the compiler folds (`-1`, `1 << 40`, `1.5 * 2`) has Python's own numbers, which are the same everywhere. Not
/// yet compared with what the base's own interpreter makes under emulation.
#[derive(Debug, Clone, Copy)]
pub struct Compiler<'a> {
    /// For which processor it is.
    pub architecture: Architecture,
    /// The interpreter's package and the libraries that it needs.
    pub debs: &'a [DebFile],
}

/// The files of a base.
#[derive(Debug, Clone)]
pub struct Base {
    /// Every file.
    pub tree: Tree,
    /// What it is made of, sorted by name.
    pub packages: Vec<Package>,
}

/// A package of a base.
#[derive(Debug, Clone)]
pub struct Package {
    /// The .deb's control file.
    pub control: Control,
    /// The other control members.
    pub members: Vec<ControlMember>,
    /// Every path of the .deb as it stands there, in archive order, whether it is in the base or not.
    pub paths: Vec<LayerPath>,
    /// Its package URL.
    pub purl: Arc<str>,
}

impl Package {
    /// A control member's bytes.
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        self.members.iter().find(|member| member.name == name).map(|member| member.content.as_slice())
    }
}

/// Why a base cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A .deb cannot be read.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// One package is given twice.
    #[error("making the base: package {0} is given twice")]
    Twice(String),
    /// Files collide.
    #[error("making the base: {doing}: {source}")]
    Files {
        /// What was being done.
        doing: String,
        /// Where and why.
        source: TreeError,
    },
    /// A maintainer script does something that we cannot do in its place.
    #[error("package {package}: cannot do what its {script} does: {why}")]
    Script {
        /// Which package.
        package: String,
        /// Which of its scripts.
        script: &'static str,
        /// The statement, or what is wrong.
        why: String,
    },
    /// Programs or libraries would not start.
    #[error("making the base: {}{}", .0.first().map(ToString::to_string).unwrap_or_default(), more(.0.len()))]
    Unresolved(Vec<Unresolved>),
    /// Something that no image may have.
    #[error("making the base: /{path} {why}")]
    Invariant {
        /// Where.
        path: LayerPath,
        /// What is wrong.
        why: String,
    },
    /// The interpreter could not make bytecode.
    #[error("making bytecode of the standard library with the base's own interpreter: {0}")]
    Bytecode(#[source] io::Error),
    /// The interpreter could not be unpacked.
    #[error("unpacking the base's own interpreter: {0}")]
    Scratch(#[source] StoreError),
}

impl BaseError {
    /// What stopped the interpreter's files on their way to the disk.
    fn unpacking(error: io::Error) -> Self {
        match error.downcast() {
            Ok(disk) => Self::Scratch(disk),
            Err(other) => Self::Bytecode(other),
        }
    }
}

fn more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

impl Diagnose for BaseError {
    fn fault(&self) -> Fault {
        match self {
            Self::Deb(_) | Self::Files { .. } | Self::Bytecode(_) | Self::Scratch(_) => Fault::World,
            Self::Twice(_) | Self::Invariant { .. } => Fault::Bug,
            Self::Script { .. } | Self::Unresolved(_) => Fault::Input,
        }
    }

    fn subject(&self) -> Option<&str> {
        match self {
            Self::Script { package, .. } => Some(package),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Script { package, .. } => {
                vec![format!("leave {package} out, or take it as it is unpacked: allow-unconfigured = [\"{package}\"]")]
            }
            Self::Unresolved(missing) => missing.iter().skip(1).take(9).map(ToString::to_string).collect(),
            Self::Scratch(source) => source.hints(),
            Self::Bytecode(_) => vec![
                "a base for another processor than this machine's has no bytecode unless its interpreter can run here"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// Makes a base of exactly these packages.
///
/// # Errors
/// [`BaseError`]: a .deb that is not what it should be, files that collide, a script that is not understood, a library
/// that is missing, an interpreter that fails.
pub fn build_base(debs: &[DebFile], options: &BaseOptions<'_>) -> Result<Base, BaseError> {
    let mut making = Making { tree: Tree::default(), packages: Vec::new(), options, unconfigured: &[] };
    making.lay_out()?;
    making.unpack(debs)?;
    making.run_effects()?;
    making.suit_dockerfiles()?;
    making.compile()?;
    making.write_library_cache()?;
    making.check_libraries()?;
    making.write_database()?;
    making.tree.order_hard_links();
    making.check_invariants()?;
    Ok(Base { tree: making.tree, packages: making.packages })
}

impl Base {
    /// Writes every file to a layer, in the order of paths.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_layer<W: io::Write>(&self, writer: &mut LayerWriter<W>) -> io::Result<()> {
        for (path, node) in self.tree.iter() {
            let (kind, content): (Kind, &[u8]) = match &node.kind {
                NodeKind::Directory => (Kind::Directory, &[]),
                NodeKind::Symlink(target) => (Kind::Symlink(target.clone()), &[]),
                NodeKind::HardLink(target) => (Kind::HardLink(target.clone()), &[]),
                NodeKind::File(content) => (Kind::File, content),
            };
            let entry = Entry {
                path: path.clone(),
                kind,
                mode: node.mode,
                uid: node.uid,
                gid: node.gid,
                size: content.len() as u64,
                crc32: None,
                offset: 0,
                package: node.package.as_deref().map(str::to_owned),
            };
            writer.file(entry, &mut { content })?;
        }
        Ok(())
    }
}

/// A base on its way.
struct Making<'a> {
    tree: Tree,
    packages: Vec<Package>,
    options: &'a BaseOptions<'a>,
    /// Packages whose scripts may stay undone.
    unconfigured: &'a [String],
}

impl Making<'_> {
    fn has(&self, name: &str) -> bool {
        self.package(name).is_some()
    }

    fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.control.package() == name)
    }

    /// The package that something made stands for.
    fn purl(&self, name: &str) -> Option<Arc<str>> {
        self.package(name).map(|package| package.purl.clone())
    }

    fn is_slim(&self) -> bool {
        self.options.variant == Variant::Slim
    }

    /// The links that must be there before the first package is unpacked.
    fn lay_out(&mut self) -> Result<(), BaseError> {
        let wide = (self.options.architecture == Architecture::Amd64).then_some("lib64");
        for name in ["bin", "sbin", "lib"].into_iter().chain(wide) {
            self.directory(&format!("usr/{name}"), 0o755)?;
            self.link(name, &format!("usr/{name}"))?;
        }
        self.directory("run/lock", 0o1777)?;
        self.link("var/run", "/run")?;
        self.link("var/lock", "/run/lock")
    }

    fn unpack(&mut self, debs: &[DebFile]) -> Result<(), BaseError> {
        let mut debs: Vec<_> = debs.iter().collect();
        debs.sort_by(|one, other| one.name.cmp(&other.name));
        if let Some(pair) = debs.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(BaseError::Twice(pair[0].name.clone()));
        }
        for deb in read_all(&debs, self.options)? {
            let has_headers_alone = self.has_headers_alone(deb.control.package());
            self.unpack_one(deb)?;
            if has_headers_alone {
                self.packages.pop();
            }
        }
        Ok(())
    }

    fn has_headers_alone(&self, package: &str) -> bool {
        self.options.dockerfiles.is_some_and(|own| own.headers.iter().any(|name| name == package))
    }

    fn unpack_one(&mut self, deb: Deb) -> Result<(), BaseError> {
        let purl = purl(&deb.control, self.options);
        let paths = deb.entries.iter().map(|entry| entry.entry.path.clone()).collect();
        for file in deb.entries.into_iter().filter(|file| file.keep && !file.entry.path.is_root()) {
            let kind = match (file.entry.kind, file.content) {
                (Kind::File, content) => NodeKind::File(content.unwrap_or_default()),
                (Kind::Symlink(target), _) => NodeKind::Symlink(target),
                (Kind::HardLink(target), _) => NodeKind::HardLink(target),
                _ => NodeKind::Directory,
            };
            let mut node = Node::new(kind, file.entry.mode).of(Some(&purl));
            (node.uid, node.gid) = (file.entry.uid, file.entry.gid);
            let doing = || format!("unpacking package {}", deb.control.package());
            self.tree.unpack(&file.entry.path, node).map_err(|source| BaseError::Files { doing: doing(), source })?;
        }
        self.packages.push(Package { control: deb.control, members: deb.members, paths, purl });
        Ok(())
    }

    fn compile(&mut self) -> Result<(), BaseError> {
        let (Some(compiler), Some(python)) = (self.options.bytecode, self.options.python) else { return Ok(()) };
        let sources = bytecode::sources(&self.tree, python);
        let root = self.options.scratch;
        let foreign = self.options.compiler.map(|compiler| self.unpacked(compiler)).transpose()?;
        let interpreter = match (&foreign, self.options.compiler) {
            (Some(tree), Some(compiler)) => (tree, compiler.architecture),
            _ => (&self.tree, self.options.architecture),
        };
        bytecode::unpack_interpreter(&self.tree, interpreter, root, python, &sources).map_err(BaseError::unpacking)?;
        let made = compiler.compile(root, &sources).map_err(BaseError::Bytecode)?;
        made.into_iter().try_for_each(|(path, content)| {
            let source = bytecode::source_path(&path);
            let package = source.and_then(|source| self.tree.get(&source)?.package.clone());
            let node = Node::new(NodeKind::File(content.into()), 0o644).of(package.as_ref());
            self.put(path.as_bytes(), node)
        })
    }

    /// The files of another processor's Python.
    fn unpacked(&self, compiler: Compiler<'_>) -> Result<Tree, BaseError> {
        let options = BaseOptions { architecture: compiler.architecture, compiler: None, ..*self.options };
        let mut making = Making { tree: Tree::default(), packages: Vec::new(), options: &options, unconfigured: &[] };
        making.lay_out()?;
        making.unpack(compiler.debs)?;
        Ok(making.tree)
    }

    fn write_library_cache(&mut self) -> Result<(), BaseError> {
        let Some(libc) = self.package("libc-bin") else { return Ok(()) };
        let generator = ldcache::generator(libc.control.get("Version").unwrap_or_default());
        let cache = ldcache::write_cache(&self.tree, self.options.architecture, &generator);
        self.file("etc/ld.so.cache", 0o644, cache, "libc-bin")
    }

    fn check_libraries(&self) -> Result<(), BaseError> {
        let missing = closure::unresolved(&self.tree, self.options.architecture);
        if missing.is_empty() { Ok(()) } else { Err(BaseError::Unresolved(missing)) }
    }

    fn write_database(&mut self) -> Result<(), BaseError> {
        let files = match self.options.variant {
            Variant::Distroless => dpkg::status_folder(&self.packages),
            Variant::Slim => dpkg::database(&self.packages, &self.tree, self.options.architecture),
        };
        for file in files {
            let package = file.package.and_then(|index| self.packages.get(index)).map(|package| package.purl.clone());
            let node = Node::new(NodeKind::File(file.content.into()), file.mode).of(package.as_ref());
            self.put(&file.path, node)?;
        }
        if self.is_slim() && self.has("apt") {
            let own = Debian::find(self.options.suite).map(|debian| debian.seeds(Variant::Slim));
            let asked: Vec<_> = self.options.seeds.iter().map(String::as_str).chain(own.unwrap_or_default()).collect();
            let states = dpkg::extended_states(&self.packages, &asked, self.options.architecture);
            self.file("var/lib/apt/extended_states", 0o644, states, "apt")?;
        }
        Ok(())
    }

    /// What no base may have. The writers above see to it; this sees to them.
    fn check_invariants(&self) -> Result<(), BaseError> {
        for (path, node) in self.tree.iter() {
            let broken = |why: String| BaseError::Invariant { path: path.clone(), why };
            if node.mode & 0o6000 != 0 {
                return Err(broken("is set-user-id or set-group-id".to_owned()));
            }
            match &node.kind {
                NodeKind::Symlink(target) if self.tree.resolve(path).is_none() && !may_dangle(path) => {
                    return Err(broken(format!("is a link to {target}, which is not there")));
                }
                NodeKind::HardLink(target) if self.tree.content(path).is_none() || target >= path => {
                    return Err(broken(format!("is a hard link to /{target}, which is no file before it")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn put(&mut self, path: impl AsRef<[u8]>, node: Node) -> Result<(), BaseError> {
        let doing = "writing what maintainer scripts would".to_owned();
        self.tree.put(path, node).map_err(|source| BaseError::Files { doing, source })
    }

    fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>, package: &str) -> Result<(), BaseError> {
        let content: Vec<u8> = content.into();
        let purl = self.purl(package);
        self.put(path, Node::new(NodeKind::File(content.into()), mode).of(purl.as_ref()))
    }

    fn directory(&mut self, path: &str, mode: u32) -> Result<(), BaseError> {
        let purl = self.purl("base-files");
        self.put(path, Node::new(NodeKind::Directory, mode).of(purl.as_ref()))
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), BaseError> {
        self.put(path, Node::new(NodeKind::Symlink(target.to_owned()), 0o777))
    }

    fn link_of(&mut self, path: &str, target: &str, package: &str) -> Result<(), BaseError> {
        let purl = self.purl(package);
        self.put(path, Node::new(NodeKind::Symlink(target.to_owned()), 0o777).of(purl.as_ref()))
    }
}

/// Links whose end is made by the runtime, or that documentation was taken from.
fn may_dangle(path: &LayerPath) -> bool {
    let made_elsewhere: [&[u8]; 4] = [b"etc/mtab", b"etc/resolv.conf", b"dev/", b"usr/share/doc/"];
    made_elsewhere.iter().any(|start| path.as_bytes().starts_with(start))
}

/// With `upstream`, the source package, wherever it is called otherwise or has another version: advisories are written
/// for source packages (purl-spec, `types/deb-definition.json`; as syft writes it, which grype reads).
fn purl(control: &Control, options: &BaseOptions<'_>) -> Arc<str> {
    let architecture = (control.get("Architecture") != Some("all")).then_some(options.architecture);
    let release = match options.suite {
        "bullseye" => "debian-11",
        "bookworm" => "debian-12",
        "trixie" => "debian-13",
        "forky" => "debian-14",
        other => other,
    };
    let version = control.get("Version").unwrap_or_default();
    let purl = Purl::deb(control.package(), version, architecture, release);
    purl.with("upstream", &control.get("Source").map(upstream).unwrap_or_default()).to_string().into()
}

/// The value of `Source`, `name` or `name (version)`, as a package URL has it (Debian Policy, section 5.6.1).
fn upstream(source: &str) -> String {
    let (name, version) = source.split_once('(').unwrap_or((source, ""));
    match version.trim_end().trim_end_matches(')').trim() {
        "" => name.trim().to_owned(),
        version => format!("{}@{version}", name.trim()),
    }
}

/// Reads the .debs in parallel; the result has their order.
fn read_all(debs: &[&DebFile], options: &BaseOptions<'_>) -> Result<Vec<Deb>, DebError> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut read: Vec<(usize, Result<Deb, DebError>)> = std::thread::scope(|scope| {
        for _ in 0..options.jobs.get().min(debs.len()) {
            let (sender, next) = (sender.clone(), &next);
            let (variant, own) = (options.variant, options.dockerfiles);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = debs.get(index) else { return };
                    let deb = Deb::read(file, |entry| match own {
                        Some(own) => !dockerfiles::is_pruned(own, &file.name, entry),
                        None => !prune::is_pruned(variant, &file.name, entry),
                    });
                    let failed = deb.is_err();
                    if sender.send((index, deb)).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().collect()
    });
    read.sort_by_key(|(index, _)| *index);
    read.into_iter().map(|(_, deb)| deb).collect()
}

#[cfg(test)]
mod tests;
