//! Bases for Dockerfiles, by the names that these have for them: `python:3.11-slim`, `debian:bookworm-slim`, made of Debian's
//! signed archive where no registry is in reach, or none is wanted.
//!
//! The store gets them under the name that was asked for; `FROM` finds them there and says so. They are made again to the same
//! digest from a lock, which has the form of corten.lock: the archive's state, every package by its hash.
//!
//! ```text
//! debs ─► slim base that Dockerfiles expect (install/src/debian/base/dockerfiles.rs) ─► pip in /usr/local ─► its bytecode
//! ```

mod table;

use std::path::{Path, PathBuf};

use corten_diagnostic::{Event, Failure, Report, Span};
use corten_engine::{Capabilities, LocalEngine, convert};
use corten_frontend::settings::{Settings, Text};
use corten_install::debian::{self, BaseRequest, lock_base_beside, lock_base_without_python};
use corten_oci::{Architecture, ContainerConfig, Descriptor, ImageConfig, Reference};
use corten_plan::{
    Built, Bytecode, Compression, CortenLock, Debs, Engine, ImageSpec, LockedBase, LockedWheel, Op, Plan, Sources,
    Step, StepId, Target, Variant, Wheels,
};
use corten_store::layout;

use crate::base::{self, HOST};
use crate::registry::RegistryOptions;
use crate::tags::rfc3339;
use crate::world::World;
use crate::{blobs, lock, outputs, program, project, remote};

use table::{NAMED, NamedBase, PinnedWheel};
pub use table::{find, known};

/// Where pip is, and puts what it installs.
const PREFIX: &str = "usr/local";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How each layer of such a base is told, and begins in the image's history.
const STEP: &str = "base ";
const MADE_BY: &str = "corten: base ";

/// What is asked.
#[derive(Debug, Clone)]
pub struct NamedOptions {
    /// Which base: `python:3.11-slim`.
    pub base: Reference,
    /// What the store calls it; none: as the base.
    pub name: Option<Reference>,
    /// For which processor.
    pub architecture: Architecture,
    /// Pins what it is made of: read where it is there, else written.
    pub lock: Option<PathBuf>,
    /// An OCI layout that gets it, too.
    pub layout: Option<PathBuf>,
    /// Make every layer again.
    pub no_cache: bool,
    /// Where the settings of mirrors are.
    pub folder: PathBuf,
}

/// A base that was made.
#[derive(Debug)]
pub struct MadeBase {
    /// The image, in the store.
    pub built: Built,
    /// Its name there.
    pub name: Reference,
    /// What it is made of.
    pub locked: LockedBase,
}

/// Makes a base into the store, under its name.
///
/// # Errors
/// Usage where there is no such base; world where the archive cannot be reached or trusted.
pub fn build(options: &NamedOptions, world: &World<'_>) -> Result<MadeBase, Report> {
    let named = find(&options.base)?;
    options.lock.as_deref().map_or(Ok(()), |path| outputs::writable("--lock", path))?;
    let making = Making { named, options, settings: &Settings::read(&project::texts(&options.folder)?)?, world };
    let known = options.lock.as_deref().map(read_lock).transpose()?.flatten();
    let pinned = known.as_ref().map(|lock| making.pinned(lock)).transpose()?.flatten();
    let (locked, is_new) = match pinned {
        Some(pinned) => (pinned.clone(), false),
        None => (making.lock(options.architecture)?, true),
    };
    making.tell(&locked, is_new);
    let host = making.host(&locked, known.as_ref())?;
    let (plan, image) = making.plan(&locked, host.as_ref())?;
    let built = making.solve(&plan, image)?;
    let name = options.name.clone().unwrap_or_else(|| options.base.clone());
    making.keep(&built, &name)?;
    if let Some(path) = &options.lock {
        write_lock(path, known, [&locked].into_iter().chain(&host))?;
    }
    Ok(MadeBase { built, name, locked })
}

/// Was an image made here as the base of a name, and is nothing above it?
pub fn made_by(config: &ImageConfig) -> Option<&str> {
    let last = config.history.last()?.created_by.as_deref()?;
    let (name, _) = last.strip_prefix(MADE_BY)?.split_once(": ")?;
    // Others' images may say anything: only what can be made is said to be.
    NAMED.iter().any(|base| base.names.contains(&name)).then_some(name)
}

struct Making<'a> {
    named: &'static NamedBase,
    options: &'a NamedOptions,
    settings: &'a Settings,
    world: &'a World<'a>,
}

impl Making<'_> {
    fn usual_name(&self) -> &'static str {
        self.named.names.first().copied().unwrap_or_default()
    }

    fn pinned<'l>(&self, lock: &'l CortenLock) -> Result<Option<&'l LockedBase>, Failure> {
        if let Some(other) = lock.bases.iter().find(|base| base.reference != self.usual_name()) {
            let message = format!("--lock: the file pins {}, not {}", other.reference, self.usual_name());
            return Err(Failure::usage(message).hint("give each base a file of its own"));
        }
        Ok(lock.base(self.options.architecture))
    }

    fn tell(&self, locked: &LockedBase, is_new: bool) {
        let state = match (is_new, &self.options.lock) {
            (false, Some(path)) => format!("pinned in {}", path.display()),
            _ => "from the archive as it is now".to_owned(),
        };
        let why = format!("{} packages of Debian {} {state}", locked.debs.len(), locked.archive.suite);
        self.world.events.emit(Event::Decision { about: "base", choice: self.usual_name(), why: &why });
    }

    /// Chooses the packages from the archive's present state.
    fn lock(&self, architecture: Architecture) -> Result<LockedBase, Report> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let python = self.named.python.as_ref();
        let extra = python.map(|python| owned(python.packages)).unwrap_or_default();
        let headers = python.map(|python| owned(python.headers)).unwrap_or_default();
        let request = BaseRequest {
            suite: self.named.suite,
            variant: debian::Variant::Slim,
            architecture,
            extra: &extra,
            now: u64::try_from(self.world.now).unwrap_or(0),
            seen: None,
        };
        let sources = base::Sources::of_settings(self.settings, &self.options.folder)?;
        let archive = sources.archive(self.world);
        let locked = match python {
            Some(_) => lock_base_beside(&archive, &request, &headers)?,
            None => lock_base_without_python(&archive, &request)?,
        };
        Ok(convert::base_from_install(locked, self.usual_name().to_owned(), Variant::Slim))
    }

    /// The same base for this machine, where `base` is for another: that one's Python does not run here, this one's compiles.
    fn host(&self, base: &LockedBase, known: Option<&CortenLock>) -> Result<Option<LockedBase>, Report> {
        if base.architecture == HOST || self.named.python.is_none() {
            return Ok(None);
        }
        let host = match known.and_then(|lock| lock.base(HOST)) {
            Some(host) => host.clone(),
            None => self.lock(HOST)?,
        };
        let hint = match &self.options.lock {
            Some(path) => format!("take {} away, and both are pinned anew", path.display()),
            None => "the archive has not both yet: try again later".to_owned(),
        };
        base::same_interpreter(base, &host).map_err(|failure| failure.hint(hint))?;
        Ok(Some(host))
    }

    fn plan(&self, locked: &LockedBase, host: Option<&LockedBase>) -> Result<(Plan, StepId), Report> {
        let name = self.usual_name();
        let step = |op, inputs: &[usize], what: &str| {
            let inputs = inputs.iter().copied().map(StepId).collect();
            Step { op, inputs, name: format!("{STEP}{name}: {what}") }
        };
        let what = format!("{} packages of Debian {}", locked.debs.len(), locked.archive.suite);
        let mut steps = vec![step(self.debs(locked, host), &[], &what)];
        let mut layers = vec![0];
        if let Some(python) = &self.named.python {
            let target = base::python(locked)?;
            let wheels = python.wheels.iter().map(|wheel| self.wheel(wheel)).collect::<Result<Vec<_>, _>>()?;
            let what: Vec<String> = wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
            let of_wheels = Wheels { wheels: wheels.clone(), prefix: PREFIX.into(), python: target.clone() };
            steps.push(step(Op::Wheels(of_wheels), &[], &what.join(", ")));
            let below = match host {
                Some(host) => {
                    steps.push(step(self.debs(host, None), &[], "for compiling, not in the image"));
                    2
                }
                None => 0,
            };
            let program = format!("usr/bin/python{}", target.minor());
            let bytecode = Bytecode { of: Sources::Wheels(wheels), prefix: PREFIX.into(), python: target, program };
            steps.push(step(Op::Bytecode(bytecode), &[below, 1], &format!("bytecode of {}", what.join(", "))));
            layers.extend([1, steps.len() - 1]);
        }
        let spec = ImageSpec {
            architecture: locked.architecture,
            config: self.config(locked),
            created: created(locked)?,
            history: Vec::new(),
        };
        let image = StepId(steps.len());
        steps.push(step(Op::Image(Box::new(spec)), &layers, "image"));
        let targets = vec![Target { name: "image".into(), step: image }];
        Ok((Plan { steps, targets, compression: Compression::Splice }, image))
    }

    fn debs(&self, locked: &LockedBase, host: Option<&LockedBase>) -> Op {
        let headers = self.named.python.as_ref().map(|python| python.headers).unwrap_or_default();
        Op::Debs(Debs {
            suite: locked.archive.suite.clone(),
            variant: locked.variant,
            architecture: locked.architecture,
            archive: locked.archive.clone(),
            seeds: locked.seeds.clone(),
            packages: locked.debs.clone(),
            dockerfiles: Some(headers.iter().map(|name| (*name).to_owned()).collect()),
            compiler: host.map(base::compiler),
        })
    }

    fn wheel(&self, wheel: &PinnedWheel) -> Result<LockedWheel, Failure> {
        let digest = format!("sha256:{}", wheel.sha256).parse();
        let digest = digest.map_err(|error| Failure::bug(format!("the hash of {}: {error}", wheel.name)))?;
        Ok(LockedWheel {
            name: wheel.name.to_owned(),
            version: wheel.version.to_owned(),
            file: wheel.url.rsplit('/').next().unwrap_or_default().to_owned(),
            url: remote::mirrored_by(self.settings, wheel.url),
            digest,
            size: wheel.size,
            direct_url: None,
        })
    }

    /// As Docker's images of these names have it.
    fn config(&self, locked: &LockedBase) -> ContainerConfig {
        let mut env = vec![PATH.to_owned()];
        let mut program = "bash";
        if self.named.python.is_some() {
            env.extend(["LANG=C.UTF-8".to_owned(), format!("PYTHON_VERSION={}", locked.python)]);
            program = "python3";
        }
        ContainerConfig { env: Some(env), cmd: Some(vec![program.to_owned()]), ..ContainerConfig::default() }
    }

    fn solve(&self, plan: &Plan, image: StepId) -> Result<Built, Report> {
        let world = self.world;
        let sources = base::Sources::of_settings(self.settings, &self.options.folder)?;
        let bring = |wanted: &[Descriptor], what: &str| blobs::bring(wanted, what, &RegistryOptions::default(), world);
        let engine = LocalEngine::new(Capabilities {
            store: world.store,
            client: world.client,
            archive: sources.archive(world),
            run_program: &program::run,
            package_of: &|_| None,
            bring: &bring,
            publish: None,
            events: world.events,
            jobs: world.jobs,
            reuse: !self.options.no_cache,
        });
        engine.solve(plan, image)
    }

    /// Gives the image its name, and to the layout that is asked for. A name that moves is worth a word.
    fn keep(&self, built: &Built, name: &Reference) -> Result<(), Report> {
        let (store, digest) = (self.world.store, built.image.manifest.digest);
        if let Some(folder) = &self.options.layout {
            layout::export(store, &digest, std::slice::from_ref(name), folder)?;
        }
        match store.image(name)? {
            Some(old) if old == digest => return Ok(()),
            Some(old) => self.world.events.note(&format!("{name} moves from {} to {}", old.short(), digest.short())),
            None => {}
        }
        let batch = store.batch();
        batch.image(name, &digest)?;
        Ok(batch.finish()?)
    }
}

/// When it was made: when the archive was as it is in it.
fn created(locked: &LockedBase) -> Result<Option<String>, Failure> {
    let epoch = i64::try_from(locked.archive.epoch).ok().filter(|epoch| *epoch > 0);
    epoch.map(rfc3339).transpose()
}

/// A lock, if it is there.
fn read_lock(path: &Path) -> Result<Option<CortenLock>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Text::new(path.to_owned(), text.as_str()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::world(format!("--lock: reading {}: {error}", path.display()))),
    };
    CortenLock::parse(&text.text).map(Some).map_err(|error| {
        let range = error.span().unwrap_or_default();
        Failure::input(format!("reading {}: {}", text.path.display(), error.message()))
            .at(Span::new(text.path, text.text, range))
            .hint("take it away, and it is written anew")
    })
}

/// Adds those bases to a lock that are for a processor of which it has none.
fn write_lock<'b>(
    path: &Path,
    known: Option<CortenLock>,
    bases: impl Iterator<Item = &'b LockedBase>,
) -> Result<(), Report> {
    let usage = || Failure::usage(format!("--lock {}: this names no file", path.display()));
    let name = path.file_name().ok_or_else(usage)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let empty = CortenLock { version: 1, lock: None, bases: Vec::new(), weights: Vec::new(), build: None };
    let mut lock = known.unwrap_or(empty);
    let before = lock.bases.len();
    for base in bases {
        if lock.base(base.architecture).is_none() {
            lock.bases.push(base.clone());
        }
    }
    if lock.bases.len() == before {
        return Ok(());
    }
    lock.bases.sort_by_key(|base| base.architecture);
    lock::write_named(folder, name, &lock)
}

#[cfg(test)]
mod tests {
    use corten_oci::{History, RootFs};
    use corten_plan::ArchiveState;

    use super::*;

    fn base(architecture: Architecture, epoch: u64) -> LockedBase {
        LockedBase {
            reference: "python:3.11-slim".to_owned(),
            variant: Variant::Slim,
            architecture,
            python: "3.11.2".to_owned(),
            glibc: "2.36".to_owned(),
            seeds: Vec::new(),
            archive: ArchiveState { suite: "bookworm".to_owned(), epoch },
            debs: Vec::new(),
            packages: None,
            image: None,
            interpreter: None,
        }
    }

    #[test]
    fn a_lock_gets_the_base_that_compiles_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.lock");
        let write = |bases: &[LockedBase]| write_lock(&path, read_lock(&path).unwrap(), bases.iter()).unwrap();
        let pinned = || {
            let lock = read_lock(&path).unwrap().unwrap();
            lock.bases.iter().map(|base| (base.architecture, base.archive.epoch)).collect::<Vec<_>>()
        };
        write(&[base(Architecture::Arm64, 1)]);
        assert_eq!(pinned(), [(Architecture::Arm64, 1)]);
        write(&[base(Architecture::Arm64, 2), base(Architecture::Amd64, 3)]);
        assert_eq!(pinned(), [(Architecture::Amd64, 3), (Architecture::Arm64, 1)]);
        let text = std::fs::read(&path).unwrap();
        write(&[base(Architecture::Arm64, 4), base(Architecture::Amd64, 5)]);
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }

    #[test]
    fn only_what_can_be_made_here_is_said_to_be() {
        let of = |line: &str| {
            let history = History { created_by: Some(line.to_owned()), ..History::default() };
            let config = ImageConfig {
                created: None,
                author: None,
                architecture: "amd64".to_owned(),
                os: "linux".to_owned(),
                variant: None,
                config: ContainerConfig::default(),
                rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
                history: vec![history],
            };
            made_by(&config).map(str::to_owned)
        };
        assert_eq!(of("corten: base debian:trixie-slim: 90 packages").as_deref(), Some("debian:trixie-slim"));
        assert_eq!(of("corten: base evil\x1b[2J: 90 packages"), None);
        assert_eq!(of("corten: base ubuntu:24.04: 90 packages"), None);
    }
}
