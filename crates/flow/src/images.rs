//! Bases that are images already: found where the settings say, pinned by digest in corten.lock, taken into the store.
//!
//! ```text
//! settings ─► find ─► digest ─► pinned? ─► take layers, once ─► look: Python, C library, packages ─► record
//! ```
//!
//! What is there decides on first use; from then on another digest is an error until `corten lock --upgrade-base`. An
//! image whose layers the store has is used even where it is gone from its place.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use corten_diagnostic::{Diagnose, Event, Failure, Report, TaskId, Unit};
use corten_frontend::settings::{Base, BytecodeSetting, ImageBase, ImageKind, Setting};
use corten_install::image::{self, Facts, InVenv};
use corten_layer::tree::Node;
use corten_oci::{Architecture, Descriptor, DiffId, Digest, History, ImageConfig, SetId};
use corten_plan::{ArchiveState, GivenLayer, Installed, LockedBase, LockedDeb, LockedImage, LockedWheel, PythonTarget};
use corten_store::foreign::{self, ForeignError, Found, Origin, Taken};
use corten_store::{Key, Store};
use serde::{Deserialize, Serialize};

use crate::base::HOST;
use crate::lower::Answers;
use crate::packages::Packages;
use crate::project::Project;
use crate::start::VENV;
use crate::world::World;

/// Raised when what is remembered of the same image changes.
const FORMAT: u32 = 1;

/// An image whose layers are in the store, and what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaseImage {
    /// What pins it.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<GivenLayer>,
    /// `etc/passwd` and `etc/group`.
    pub accounts: (String, String),
    /// Name and version of the Python packages where our virtual environment is.
    pub in_venv: Vec<(String, String)>,
    interpreter: String,
    python: String,
    glibc: (u32, u32),
    suite: String,
}

impl BaseImage {
    /// One entry for each layer, and those without.
    pub fn history(&self, reference: &str) -> Vec<History> {
        let own = &self.config.history;
        if own.iter().filter(|history| !history.empty_layer).count() == self.layers.len() {
            return own.clone();
        }
        let history = |_| History { created_by: Some(format!("base {reference}")), ..History::default() };
        self.layers.iter().map(history).collect()
    }

    /// Its Debian packages: version by name.
    pub fn packages(&self) -> BTreeMap<&str, (&str, Option<&LockedDeb>)> {
        let all = self.layers.iter().flat_map(|layer| &layer.installed);
        let debs = all.filter(|one| one.purl.starts_with("pkg:deb/"));
        debs.map(|one| (one.name.as_str(), (one.version.as_str(), None))).collect()
    }

    /// Has it some version of a Python package where ours are installed?
    pub fn provides(&self, name: &str) -> bool {
        self.in_venv.iter().any(|(other, _)| other == name)
    }

    /// Is this wheel in it, where it would be installed?
    pub fn has(&self, wheel: &LockedWheel) -> bool {
        self.in_venv.iter().any(|(name, version)| *name == wheel.name && same_version(version, &wheel.version))
    }

    /// As corten.lock has it.
    pub fn locked(&self, reference: String, architecture: Architecture) -> LockedBase {
        let created = self.config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let epoch = created.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or(0);
        LockedBase {
            reference,
            variant: Default::default(),
            architecture,
            python: self.python.clone(),
            glibc: format!("{}.{}", self.glibc.0, self.glibc.1),
            seeds: Vec::new(),
            archive: ArchiveState { suite: self.suite.clone(), epoch },
            debs: Vec::new(),
            packages: None,
            interpreter: None,
            image: Some(LockedImage { digest: self.digest, interpreter: self.interpreter.clone(), place: None }),
        }
    }
}

fn same_version(one: &str, other: &str) -> bool {
    use corten_package::pep440::Version;
    let parse = |text: &str| text.replace('_', "-").parse::<Version>().ok();
    one == other || parse(one).is_some_and(|one| parse(other) == Some(one))
}

/// The base of corten.lock if it is what is there; else, on first use or when it is renewed, what is there.
pub fn choose(
    project: &Project,
    setting: &Setting<Base>,
    image: &ImageBase,
    architecture: Architecture,
    renew: bool,
    world: &World<'_>,
) -> Result<LockedBase, Report> {
    let reference = setting.value.to_string();
    let pinned = project.corten_lock.as_ref().and_then(|lock| lock.base(architecture)).filter(|_| !renew);
    let pinned = pinned.filter(|base| base.reference == reference && base.image.is_some());
    let origin = origin(&project.folder, image).map_err(|failure| placed(failure, setting))?;
    let decide = |why: &str| world.events.emit(Event::Decision { about: "base", choice: &reference, why });
    let found = match foreign::find(&origin, image.digest.as_ref(), architecture, world.store) {
        Ok(found) => found,
        Err(ForeignError::Absent { .. }) if pinned.is_some_and(|base| open(base, world).is_ok()) => {
            decide(&format!("pinned in corten.lock; {} is gone, the store has it", origin.place()));
            return pinned.cloned().ok_or_else(|| Failure::bug("nothing is pinned").into());
        }
        Err(error) => return Err(at_setting(&error, setting)),
    };
    if let Some(LockedImage { digest, .. }) = pinned.and_then(|base| base.image.as_ref())
        && *digest != found.digest
    {
        let failure = Failure::input(format!("the base {reference} is {}, corten.lock pins {digest}", found.digest));
        return Err(placed(failure, setting).hint("`corten lock --upgrade-base` takes the one that is there").into());
    }
    let digest = found.digest;
    let taken = take(found, architecture, Needed::Bytes, world).map_err(|error| error.at(setting))?;
    let how = if pinned.is_some() { "pinned in corten.lock" } else { "as it is there now" };
    decide(&format!("{} layers, {how}: {}", taken.layers.len(), digest.short()));
    Ok(taken.locked(reference, architecture))
}

/// What the store has of a base that is an image.
pub fn open(base: &LockedBase, world: &World<'_>) -> Result<Option<BaseImage>, Report> {
    let Some(LockedImage { digest, place, .. }) = &base.image else { return Ok(None) };
    let needed = if place.is_some() { Needed::Indexes } else { Needed::Bytes };
    remembered(digest, base.architecture, needed, world.store)?
        .map(Some)
        .ok_or_else(|| Failure::world(format!("the base {} ({digest}) is not in the store", base.reference)).into())
}

/// Refuses a Python that is not the one that is asked for, where it is not Debian's.
pub fn is_python(project: &Project, setting: &Setting<Base>, python: &PythonTarget) -> Result<(), Failure> {
    let settings = &project.settings;
    let (major, minor) = python.version;
    let Some(asked) = settings.python.as_ref().filter(|asked| asked.value != (major, minor)) else { return Ok(()) };
    let what = match &settings.interpreter {
        Some(_) => "the interpreter".to_owned(),
        None => format!("the base {}", setting.value),
    };
    let (major, minor) = asked.value;
    let message = format!("the settings ask for Python {major}.{minor}, {what} has {}", python.full_version);
    Err(match &asked.at {
        Some(at) => Failure::usage(message).at(at.clone()),
        None => Failure::usage(message),
    })
}

/// Refuses bytecode that nothing here can make.
pub fn runs(project: &Project, setting: &Setting<Base>, base: &LockedBase) -> Result<(), Failure> {
    let bytecode = &project.settings.layers.bytecode;
    let foreign = base.architecture != HOST && (base.image.is_some() || base.interpreter.is_some());
    if bytecode.value == BytecodeSetting::None || !foreign {
        return Ok(());
    }
    let message =
        format!("the Python of {} for linux/{} does not run here to compile", setting.value, base.architecture);
    let failure = Failure::input(message).hint("bytecode = \"none\" builds the image without");
    Err(match &bytecode.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    })
}

/// Tells where `.python-version` asks for another Python than the image has.
pub fn fits(project: &Project, setting: &Setting<Base>, image: &BaseImage, python: &PythonTarget, world: &World<'_>) {
    let mut lines = project.python_version.as_deref().unwrap_or_default().lines().map(str::trim);
    let said = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    if let Some(said) = said.filter(|said| !said.contains(&python.minor())) {
        world.events.warning(&format!(".python-version says {said}, the base {} has {}", setting.value, image.python));
    }
}

/// Refuses a base that has another version of a package than the lock: both would be half there.
pub fn agree(setting: &Setting<Base>, image: &BaseImage, packages: &Packages) -> Result<(), Failure> {
    let built = packages.builds.iter().map(|build| &build.sdist);
    let other = packages.wheels.iter().chain(built).find_map(|wheel| {
        let (_, version) = image.in_venv.iter().find(|(name, _)| *name == wheel.name)?;
        (!same_version(version, &wheel.version)).then_some((wheel, version))
    });
    let Some((wheel, version)) = other else { return Ok(()) };
    let LockedWheel { name, version: locked, .. } = wheel;
    let message = format!("the base {} has {name} {version}, the lock has {locked}", setting.value);
    Err(placed(Failure::input(message), setting).hint("build the base anew from this lock, or lock the base's version"))
}

/// Leaves out of a plan's answers what the base has already.
pub fn leave_out(answers: &mut Answers) {
    let Some(image) = &answers.image else { return };
    answers.wheels.retain(|wheel| !image.has(wheel));
    if let Some((_, sdists)) = &mut answers.builds {
        sdists.retain(|one| !image.has(&one.sdist));
    }
    answers.builds.take_if(|(_, sdists)| sdists.is_empty());
}

/// Where the settings' image is; relative to the project.
pub fn origin(folder: &Path, image: &ImageBase) -> Result<Origin, Failure> {
    let (path, name) = (folder.join(&image.path), image.name.clone());
    Ok(match image.kind {
        ImageKind::OciLayout => Origin::Layout { folder: path, name },
        ImageKind::OciArchive => Origin::Archive { file: path, name },
        ImageKind::DockerArchive => Origin::Docker { file: path, name },
        ImageKind::Store => {
            let reference = image.path.parse();
            let reference = reference.map_err(|error| Failure::usage(format!("the base {}: {error}", image.path)))?;
            Origin::Store { reference }
        }
        ImageKind::Registry => return Err(Failure::bug("an image of a registry has no path")),
    })
}

/// Why an image was not taken.
pub enum Untaken {
    Image(ForeignError),
    Facts(image::ImageError),
    Other(Report),
}

impl Untaken {
    /// Where the settings name it.
    pub fn at(self, setting: &Setting<Base>) -> Report {
        match self {
            Self::Image(error) => at_setting(&error, setting),
            Self::Facts(error) => {
                let failure = failure(&error, format!("{} cannot be a base: {error}", setting.value));
                placed(failure, setting).into()
            }
            Self::Other(report) => report,
        }
    }
}

/// What of an image's layers has to be in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// All: there may be no other place to have them from.
    Bytes,
    /// What lies in them: a registry has the bytes.
    Indexes,
}

/// Takes an image's layers into the store, unless it has them, and looks at what it is.
pub fn take(found: Found, architecture: Architecture, needed: Needed, world: &World<'_>) -> Result<BaseImage, Untaken> {
    let (digest, config) = (found.digest, found.config.clone());
    if let Some(known) = remembered(&digest, architecture, needed, world.store).map_err(Untaken::Other)? {
        return Ok(known);
    }
    let task = TaskId::fresh();
    let what = format!("take base {}", digest.short());
    world.events.emit(Event::Started { task, what: &what, unit: Unit::Bytes, total: Some(found.size()) });
    let taken = found.take(world.store, &|by| world.events.emit(Event::Advanced { task, by }));
    world.events.emit(Event::Finished { task });
    let taken = taken.map_err(Untaken::Image)?;
    let indexes: Vec<_> = taken.iter().map(|layer| (layer.diff_id, &layer.index)).collect();
    let facts = image::look(&image::Image {
        layers: &indexes,
        environment: config.config.env.as_deref().unwrap_or_default(),
        architecture,
        prefix: VENV,
        read: &|nodes| read(nodes, taken.iter().map(|layer| (layer.diff_id, &layer.blob)), world.store),
    });
    let image = base_image(digest, config, &taken, facts.map_err(Untaken::Facts)?);
    let bytes = serde_json::to_vec(&image)
        .map_err(|error| Untaken::Other(Failure::bug(format!("remembering a base: {error}")).into()))?;
    let remember = || {
        let batch = world.store.batch();
        batch.record(&key(&digest, architecture), &bytes)?;
        batch.finish()
    };
    remember().map_err(|error| Untaken::Other(error.into()))?;
    Ok(image)
}

fn base_image(digest: Digest, config: ImageConfig, taken: &[Taken], facts: Facts) -> BaseImage {
    let layer = |layer: &Taken| GivenLayer {
        blob: layer.blob.clone(),
        diff_id: layer.diff_id,
        tar_size: layer.tar_size,
        installed: facts.packages.iter().filter(|(of, _)| *of == layer.diff_id).map(|(_, it)| installed(it)).collect(),
        set_id: SetId::all(&layer.index),
    };
    let in_venv = |InVenv { name, version }: &InVenv| (name.clone(), version.clone());
    BaseImage {
        digest,
        config,
        layers: taken.iter().map(layer).collect(),
        in_venv: facts.in_venv.iter().map(in_venv).collect(),
        interpreter: facts.python.path,
        python: facts.python.full_version,
        glibc: facts.glibc,
        suite: facts.suite,
        accounts: facts.accounts,
    }
}

fn installed(package: &image::Package) -> Installed {
    Installed {
        purl: package.purl.clone(),
        name: package.name.clone(),
        version: package.version.clone(),
        licence: None,
        requires: Vec::new(),
        digest: None,
    }
}

fn key(digest: &Digest, architecture: Architecture) -> Key {
    let facts = ("base image", FORMAT, digest, architecture, VENV);
    Key(Digest::of(serde_json::to_vec(&facts).unwrap_or_default()))
}

/// An image counts as taken while what is needed of every layer is there.
pub fn remembered(
    digest: &Digest,
    architecture: Architecture,
    needed: Needed,
    store: &Store,
) -> Result<Option<BaseImage>, Report> {
    let Some(record) = store.record(&key(digest, architecture))? else { return Ok(None) };
    let Ok(image) = serde_json::from_slice::<BaseImage>(&record) else { return Ok(None) };
    for layer in &image.layers {
        let has_bytes = needed == Needed::Indexes || store.size(&layer.blob.digest)? == Some(layer.blob.size);
        if !has_bytes || !store.has_layer_index(&layer.diff_id) {
            return Ok(None);
        }
    }
    Ok(Some(image))
}

/// Contents of files, in their order; each layer is read once.
pub fn read<'a>(
    nodes: &[Node],
    layers: impl IntoIterator<Item = (DiffId, &'a Descriptor)>,
    store: &Store,
) -> io::Result<Vec<Vec<u8>>> {
    let mut contents = vec![Vec::new(); nodes.len()];
    for (diff_id, blob) in layers {
        let of_layer = nodes.iter().enumerate().filter(|(_, node)| node.layer == diff_id && node.entry.size > 0);
        let of_layer: Vec<_> = of_layer.collect();
        if of_layer.is_empty() {
            continue;
        }
        let source = store.read(&blob.digest).map_err(io::Error::other)?;
        from_tar(&mut corten_layer::gzip::reader(&blob.media_type, source)?, of_layer, &mut contents)?;
    }
    Ok(contents)
}

/// Files of one layer out of its tar, each to its place in `contents`.
pub fn from_tar(tar: &mut dyn Read, mut of_layer: Vec<(usize, &Node)>, contents: &mut [Vec<u8>]) -> io::Result<()> {
    of_layer.sort_by_key(|(_, node)| node.entry.offset);
    let mut at = 0;
    let mut before: Option<(u64, usize)> = None;
    for (number, node) in of_layer {
        if let Some((_, same)) = before.filter(|(offset, _)| *offset == node.entry.offset) {
            contents[number] = contents[same].clone();
            continue;
        }
        let gap = node.entry.offset.saturating_sub(at);
        io::copy(&mut tar.take(gap), &mut io::sink())?;
        tar.take(node.entry.size).read_to_end(&mut contents[number])?;
        at = node.entry.offset.saturating_add(node.entry.size);
        before = Some((node.entry.offset, number));
    }
    Ok(())
}

/// The same fault with the same hints, in other words.
pub fn failure(error: &dyn Diagnose, message: String) -> Failure {
    let failure = match error.fault() {
        corten_diagnostic::Fault::Usage => Failure::usage(message),
        corten_diagnostic::Fault::World => Failure::world(message),
        _ => Failure::input(message),
    };
    error.hints().into_iter().fold(failure, Failure::hint)
}

/// Where the settings name the base.
pub fn at_setting(error: &ForeignError, setting: &Setting<Base>) -> Report {
    placed(failure(error, format!("the base {}: {error}", setting.value)), setting).into()
}

/// Where the settings name the base.
pub fn placed(failure: Failure, setting: &Setting<Base>) -> Failure {
    match &setting.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}
