//! Packages that have no wheel for the target: their source distributions become wheels.
//!
//! Where the project of an sdist is static, its wheel is computed as its build backend would make it, and nothing of it
//! runs. The wheel lies in the store as if it had been downloaded; its sdist, pinned by the lock, is what it is fetched by.
//! Where its backend has to run, it is built in the sandbox, as a step of the plan: see [`crate::builds`].

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use corten_diagnostic::{Diagnose, Failure, Report, Span};
use corten_frontend::python::Wanted;
use corten_frontend::python::project::{
    BuildSystem, Content, Folder, Kind, Listed, OwnWheel, Project as Source, RefusalKind, build_system, own_wheel,
};
use corten_install::fetch::{Download, fetch};
use corten_install::python::Packer;
use corten_install::python::sdist::{SdistEntry, Unpacked, unpack};
use corten_oci::Digest;
use corten_package::pep440::Version;
use corten_plan::LockedWheel;
use serde::{Deserialize, Serialize};

use crate::repository::SCHEME;
use crate::world::World;

/// A wheel that was made of a source distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromSource {
    /// Normalised (PEP 503).
    pub name: String,
    /// As locked.
    pub version: String,
    /// The sdist's name.
    pub file: String,
    /// Of the sdist.
    pub digest: Digest,
    /// Of the wheel.
    pub wheel: Digest,
    /// Bytes of the wheel.
    pub size: u64,
    /// How and why: `computed as setuptools 84.2.1 would build it`.
    pub how: String,
}

/// A package that has to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// The sdist: `file`, `url`, `digest` and `size` are its own.
    pub sdist: LockedWheel,
    /// Why its wheel cannot be computed.
    pub why: String,
    /// What its build needs, as it says.
    pub requires: Vec<String>,
    /// What builds it.
    pub backend: String,
    /// Where in the source the backend may lie.
    pub backend_path: Vec<String>,
    /// Where the lock names it, from 1.
    pub line: usize,
}

impl Needed {
    /// For plans and bills of materials.
    pub fn sentence(&self) -> String {
        let LockedWheel { file, digest, .. } = &self.sdist;
        format!("built in the sandbox by {} from {file} ({digest}): {}", self.backend, self.why)
    }
}

/// What becomes of a source distribution.
pub enum Made {
    /// A wheel, now.
    Wheel(LockedWheel, Option<FromSource>),
    /// It has to be built.
    Build(Needed),
}

impl FromSource {
    /// For bills of materials: `computed … from docopt-0.6.2.tar.gz (sha256:…)`.
    pub fn sentence(&self) -> String {
        format!("{} from {} ({})", self.how, self.file, self.digest)
    }
}

/// Turns the sdist that the lock names into a wheel of the store.
///
/// # Errors
/// Input, at the lock's line, for an sdist that is hostile or broken, or of another package.
pub fn wheel(sdist: LockedWheel, wanted: &Wanted, world: &World<'_>) -> Result<Made, Report> {
    let download = Download {
        urls: vec![sdist.url.clone()],
        digest: sdist.digest,
        size: Some(sdist.size),
        what: format!("{} {} (source)", sdist.name, sdist.version),
    };
    fetch(world.client, world.store, &download, world.events)?;
    let scratch = world.store.scratch_folder()?;
    let unpacked = unpack(world.store.file(&sdist.digest)?, &sdist.file, scratch.path())
        .map_err(|error| told(&error, &wanted.at))?;
    let tree = Tree { unpacked: &unpacked, shown: Path::new(&sdist.file) };
    let asked = Source {
        folder: &tree,
        shown: tree.shown,
        version: pretended(&sdist),
        git: None,
        ignored_above: &[],
        locked: None,
    };
    let computed = match own_wheel(&asked) {
        Ok(computed) => computed,
        Err(refusal) if refusal.kind() == RefusalKind::NeedsBuild => {
            let system = build_system(&asked).map_err(|refusal| told(&refusal, &wanted.at))?;
            let why = match refusal.span() {
                Some(at) => format!("{} ({at})", refusal.reason()),
                None => refusal.reason().to_owned(),
            };
            return Ok(Made::Build(needed(sdist, why, system, wanted)));
        }
        Err(refusal) => return Err(told(&refusal, &wanted.at).into()),
    };
    check(&computed, &sdist, wanted)?;
    let version = wanted.version.as_ref().map_or_else(|| computed.version.clone(), ToString::to_string);
    let (digest, size) = pack(&computed, &unpacked, world)?;
    let (backend, emulated) = computed.backend.emulated();
    let from = FromSource {
        name: sdist.name.clone(),
        version: version.clone(),
        file: sdist.file.clone(),
        digest: sdist.digest,
        wheel: digest,
        size,
        how: format!("computed as {backend} {emulated} would build it"),
    };
    Ok(Made::Wheel(LockedWheel { file: computed.file_name, version, digest, size, ..sdist }, Some(from)))
}

/// A commit's files do not say its tag; a source distribution knows its version.
pub fn pretended(sdist: &LockedWheel) -> Option<&str> {
    Some(sdist.version.as_str()).filter(|version| sdist.url.starts_with(SCHEME) && !version.is_empty())
}

fn needed(sdist: LockedWheel, why: String, system: BuildSystem, wanted: &Wanted) -> Needed {
    let BuildSystem { requires, backend, backend_path } = system;
    Needed { sdist, why, requires, backend, backend_path, line: wanted.at.position().0 }
}

/// An error of another crate, as a failure at `place` where it has none itself.
fn told(error: &impl Diagnose, place: &Span) -> Failure {
    let failure = match error.fault() {
        corten_diagnostic::Fault::World => Failure::world(error.to_string()),
        _ => Failure::input(error.to_string()),
    };
    let failure = error.hints().into_iter().fold(failure, Failure::hint);
    failure.at(error.span().cloned().unwrap_or_else(|| place.clone()))
}

/// An unpacked sdist as the backends' rules see it.
struct Tree<'a> {
    unpacked: &'a Unpacked,
    shown: &'a Path,
}

impl Folder for Tree<'_> {
    fn entries(&self) -> Result<Vec<Listed>, Failure> {
        let listed = |(path, entry): (&String, &SdistEntry)| {
            let kind = match entry {
                SdistEntry::File { executable, .. } => Kind::File { executable: *executable },
                SdistEntry::Link(to) => Kind::Link { to: to.clone() },
            };
            Listed { path: path.clone(), kind }
        };
        Ok(self.unpacked.entries.iter().map(listed).collect())
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let shown = self.shown.join(path);
        match self.unpacked.entries.get(path) {
            Some(SdistEntry::File { size, .. }) if *size <= limit => {}
            Some(SdistEntry::File { .. }) => {
                return Err(Failure::input(format!("{} is longer than {limit} bytes", shown.display())));
            }
            Some(SdistEntry::Link(_)) | None => {
                return Err(Failure::bug(format!("{} was not listed", shown.display())));
            }
        }
        std::fs::read(self.unpacked.folder.join(path))
            .map_err(|error| Failure::world(format!("reading {}: {error}", shown.display())))
    }
}

/// An sdist may say that it is another package than the one that was locked.
fn check(computed: &OwnWheel, sdist: &LockedWheel, wanted: &Wanted) -> Result<(), Failure> {
    let version: Option<Version> = computed.version.parse().ok();
    let same = wanted.version.as_ref().is_none_or(|wanted| version.as_ref() == Some(wanted));
    if computed.name == wanted.name && same {
        return Ok(());
    }
    let found = format!("{} {}", computed.name, computed.version);
    let wrong = format!("{} is locked as {} {}, but says that it is {found}", sdist.file, sdist.name, sdist.version);
    Err(Failure::input(wrong).at(wanted.at.clone()).hint("lock again; if it stays so, tell the package's maintainers"))
}

/// Packs the wheel into the store.
fn pack(computed: &OwnWheel, unpacked: &Unpacked, world: &World<'_>) -> Result<(Digest, u64), Report> {
    let packing = |error: std::io::Error| Failure::world(format!("packing {}: {error}", computed.file_name));
    let scratch = world.store.scratch_folder()?;
    let path = scratch.path().join("wheel");
    let file = File::options().read(true).write(true).create_new(true).open(path).map_err(packing)?;
    let mut packer = Packer::new(file);
    for member in &computed.files {
        match &member.content {
            Content::Text(text) => packer.add(&member.path, member.executable, text.len() as u64, text.as_bytes()),
            Content::File(source) => File::open(unpacked.folder.join(source)).and_then(|file| {
                let size = file.metadata()?.len();
                packer.add(&member.path, member.executable, size, file)
            }),
        }
        .map_err(packing)?;
    }
    let file = packer.finish(&computed.dist_info).map_err(packing)?;
    let batch = world.store.batch();
    let mut blob = batch.blob()?;
    std::io::copy(&mut BufReader::new(file), &mut blob).map_err(packing)?;
    let described = blob.finish()?;
    batch.finish()?;
    Ok(described)
}
