//! The base: what corten.lock pins, or else what the archive has now.

use std::path::Path;

use corten_diagnostic::{Diagnose, Event, Failure, Report};
use corten_engine::convert;
use corten_frontend::python::refuse_broken;
use corten_frontend::settings::{Base, ImageKind, Setting, Settings};
use corten_install::debian::{
    Archive, ArchiveError, BaseRequest, Keyring, Mirrors, lock_base, lock_base_without_python,
};
use corten_oci::Architecture;
use corten_plan::{Compiler, LockedBase, LockedDeb, PythonTarget};

use crate::images;
use crate::plan::PlanOptions;
use crate::project::Project;
use crate::registry_base;
use crate::regular;
use crate::remote;
use crate::standalone;
use crate::world::World;

/// The base of corten.lock if it is the one that the settings ask for, else a new one.
pub fn choose(
    project: &Project,
    setting: &Setting<Base>,
    options: &PlanOptions,
    world: &World<'_>,
) -> Result<LockedBase, Report> {
    if let Base::Image(image) = &setting.value {
        refuse_packages(project)?;
        if image.kind == ImageKind::Registry {
            return registry_base::choose(project, setting, image, options, world);
        }
        return images::choose(project, setting, image, options.architecture, options.renews_base(), world);
    }
    let pinned = pinned(project, setting, options.architecture).filter(|_| !options.renews_base());
    let (base, state) = match pinned {
        Some(base) => (base.clone(), "pinned in corten.lock"),
        None => {
            refuse_broken(&project.lock)?;
            (lock(project, setting, options.architecture, world)?, "from the archive as it is now")
        }
    };
    let mut choice = format!("{} {}", setting.value, base.variant.name());
    if options.architectures.len() > 1 {
        choice.push_str(&format!(" linux/{}", base.architecture));
    }
    let why = format!("{} packages {state}", base.debs.len());
    world.events.emit(Event::Decision { about: "base", choice: &choice, why: &why });
    Ok(base)
}

/// The processor of the machine that builds.
pub const HOST: Architecture = if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::Amd64 };

/// The same base for this machine, where `base` is for another: its Python compiles the standard library.
pub fn host(
    project: &Project,
    setting: &Setting<Base>,
    base: &LockedBase,
    renew: bool,
    world: &World<'_>,
) -> Result<Option<LockedBase>, Report> {
    if base.architecture == HOST || base.image.is_some() || base.interpreter.is_some() {
        return Ok(None);
    }
    let host = match pinned(project, setting, HOST).filter(|_| !renew) {
        Some(host) => host.clone(),
        None => lock(project, setting, HOST, world)?,
    };
    same_interpreter(base, &host).map_err(|failure| failure.hint("`corten lock` pins both anew"))?;
    Ok(Some(host))
}

/// Refuses a base for this machine whose Python is not that of the base for another, which it compiles for.
///
/// # Errors
/// Input: the versions differ. Whoever pins them says how to pin both anew.
pub fn same_interpreter(base: &LockedBase, host: &LockedBase) -> Result<(), Failure> {
    let version = |base: &LockedBase| {
        let interpreter = interpreter(base);
        base.debs.iter().find(|deb| deb.name == interpreter).map_or("none", |deb| &deb.version).to_owned()
    };
    let (own, other) = (version(host), version(base));
    if own == other {
        return Ok(());
    }
    Err(Failure::input(format!(
        "{} is {other} for linux/{} and {own} for linux/{}, whose Python compiles the standard library of both",
        interpreter(base),
        base.architecture,
        host.architecture,
    )))
}

/// What of a base for this machine has to be there for its Python to start.
pub fn compiler(host: &LockedBase) -> Compiler {
    let interpreter = interpreter(host);
    let needed = |deb: &&LockedDeb| deb.name == interpreter || ["libc6", "libexpat1", "zlib1g"].contains(&&*deb.name);
    Compiler { architecture: host.architecture, packages: host.debs.iter().filter(needed).cloned().collect() }
}

/// The package of the base's interpreter.
fn interpreter(base: &LockedBase) -> String {
    let minor: Vec<&str> = base.python.splitn(3, '.').take(2).collect();
    format!("python{}-minimal", minor.join("."))
}

/// What corten.lock pins, if it is what the settings ask for now.
fn pinned<'a>(project: &'a Project, setting: &Setting<Base>, architecture: Architecture) -> Option<&'a LockedBase> {
    let base = project.corten_lock.as_ref()?.base(architecture)?;
    let same = base.image.is_none() && base.variant == project.settings.variant.value;
    let wanted = project.settings.interpreter.as_ref().map(|wanted| (&wanted.value.url, wanted.value.sha256));
    let pinned = base.interpreter.as_ref().map(|pinned| (&pinned.url, pinned.digest));
    (same && wanted == pinned && base.reference == setting.value.to_string()).then_some(base)
}

fn lock(
    project: &Project,
    setting: &Setting<Base>,
    architecture: Architecture,
    world: &World<'_>,
) -> Result<LockedBase, Report> {
    let settings = &project.settings;
    let Base::Debian { suite } = &setting.value else {
        return Err(Failure::bug("an image is not made from the archive").into());
    };
    let request = BaseRequest {
        suite,
        variant: convert::variant(settings.variant.value),
        architecture,
        extra: &[],
        now: u64::try_from(world.now).unwrap_or(0),
        seen: seen(project, suite),
    };
    let sources = Sources::of(project)?;
    let source = settings.interpreter.as_ref();
    let standalone = source.map(|source| standalone::open(project, source, architecture, world)).transpose()?;
    let archive = sources.archive(world);
    let locked = match &standalone {
        None => lock_base(&archive, &request),
        Some(_) => lock_base_without_python(&archive, &request),
    };
    let locked = locked.map_err(|error| at_setting(error, setting))?;
    let locked = convert::base_from_install(locked, setting.value.to_string(), settings.variant.value);
    Ok(LockedBase {
        python: standalone.as_ref().map_or_else(|| locked.python.clone(), |standalone| standalone.python.clone()),
        interpreter: standalone.zip(source).map(|(standalone, source)| standalone.locked(&source.value)),
        ..locked
    })
}

/// Debian packages are added to what is made of Debian packages.
fn refuse_packages(project: &Project) -> Result<(), Failure> {
    let Some(first) = project.settings.packages.first() else { return Ok(()) };
    let failure = Failure::usage(format!("package {} cannot be added to a base that is an image", first.value));
    let failure = failure.hint("`corten base build` of a project with `packages` makes a base that has them");
    Err(match &first.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    })
}

/// How old the archive was when this suite was locked last: it does not go back.
fn seen(project: &Project, suite: &str) -> Option<u64> {
    let bases = &project.corten_lock.as_ref()?.bases;
    bases.iter().filter(|base| base.archive.suite == suite).map(|base| base.archive.epoch).max()
}

/// A release that there is none of is a mistake of the setting that names it.
fn at_setting(error: ArchiveError, setting: &Setting<Base>) -> Report {
    match (&error, &setting.at) {
        (ArchiveError::Suite { .. }, Some(at)) => {
            let failure = Failure::usage(error.to_string()).at(at.clone());
            error.hints().into_iter().fold(failure, Failure::hint).into()
        }
        _ => error.into(),
    }
}

/// Where the project gets Debian's packages from, and whose signatures count.
pub struct Sources {
    mirrors: Mirrors,
    keyring: Keyring,
}

impl Sources {
    /// As the settings say, else Debian's own.
    pub fn of(project: &Project) -> Result<Self, Report> {
        Self::of_settings(&project.settings, &project.folder)
    }

    /// The same where there is no project: of the settings of a folder.
    pub fn of_settings(all: &Settings, folder: &Path) -> Result<Self, Report> {
        let settings = &all.archive;
        let usual = Mirrors::default();
        let or = |setting: &Option<Setting<String>>, usual| setting.as_ref().map_or(usual, |set| set.value.clone());
        let through = |address: String| remote::mirrored_archive(all, &address);
        let mirrors = Mirrors {
            main: through(or(&settings.main, usual.main)),
            security: through(or(&settings.security, usual.security)),
            snapshot: settings.snapshot.as_ref().map(|set| through(set.value.clone())),
        };
        let keyring = match &settings.keyring {
            None => Keyring::debian(),
            Some(set) => own_keyring(&folder.join(&set.value), set)?,
        };
        Ok(Self { mirrors, keyring })
    }

    /// The archive behind them.
    pub fn archive<'a>(&'a self, world: &World<'a>) -> Archive<'a> {
        Archive {
            client: world.client,
            store: world.store,
            mirrors: &self.mirrors,
            keyring: &self.keyring,
            events: world.events,
        }
    }
}

/// The keys that the settings name instead of Debian's.
fn own_keyring(path: &Path, set: &Setting<String>) -> Result<Keyring, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        let failure = Failure::usage(format!("reading the archive's keyring {}: {why}", path.display()));
        let failure = failure.hint("`gpg --export --armor KEY` writes one; without this setting Debian's own is taken");
        match &set.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        }
    };
    let bytes = regular::read(path).map_err(|error| wrong(&error))?;
    Keyring::from_bytes(&bytes).map_err(|error| wrong(&error))
}

/// What wheels run on, on this base.
pub fn python(base: &LockedBase) -> Result<PythonTarget, Failure> {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    let wrong = |what: &str, text: &str| {
        Failure::input(format!("corten.lock says that the base's {what} is '{text}', which is no version"))
            .hint("`corten lock` writes it anew")
    };
    Ok(PythonTarget {
        version: numbers(&base.python).ok_or_else(|| wrong("python", &base.python))?,
        full_version: base.python.clone(),
        glibc: numbers(&base.glibc).ok_or_else(|| wrong("glibc", &base.glibc))?,
        architecture: base.architecture,
    })
}
