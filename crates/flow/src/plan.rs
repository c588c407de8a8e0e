//! Planning: from a folder to a plan in which everything is pinned. Reads; writes nothing but what it remembers.
//!
//! ```text
//! open ─► base ─► wheels ─┐
//!   ├───► files ──────────┼─► lower ─► Plan
//!   └───► git ─► labels ──┘
//! ```

use std::collections::BTreeMap;

use corten_check::cuda::Target;
use corten_diagnostic::{Event, Failure, Report};
use corten_frontend::entry::Entry;
use corten_frontend::python::Asked;
use corten_frontend::settings::Settings;
use corten_install::python::bytecode::estimated_size;
use corten_oci::{Architecture, ContainerConfig};
use corten_plan::{
    CortenLock, FetchedFile, LockedBase, LockedBuilds, LockedLock, LockedWeight, OwnWheel, Plan, PythonTarget,
    SourceFile, Sources, StepId,
};

use crate::base_build::{self, Contents};
use crate::context::{Ignored, Outside};
use crate::debs;
use crate::files::{self, Files};
use crate::git::{self, Commit};
use crate::gpu::TargetOptions;
use crate::images::{self, BaseImage};
use crate::inherit;
use crate::lower::{Answers, lower};
use crate::own::{self, Own};
use crate::packages::{Packages, Wish, packages};
use crate::project::{Project, ProjectOptions};
use crate::registry::RegistryOptions;
use crate::standalone::{self, Standalone};
use crate::tags::{Origin, rfc3339};
use crate::world::World;
use crate::{base, bases, builds, stale, start, unlocked, weights};

/// What is asked of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Which path, groups, extras.
    pub project: ProjectOptions,
    /// For which processor.
    pub architecture: Architecture,
    /// Every processor that the same image is for; one base has to suit all. Empty: that one alone.
    pub architectures: Vec<Architecture>,
    /// Pin everything anew.
    pub renew: bool,
    /// Pin the base anew, and nothing else.
    pub upgrade_base: bool,
    /// Refuse to change corten.lock.
    pub locked: bool,
    /// Plan a base with packages of the lock, without the project itself.
    pub base: Option<Contents>,
    /// Take the project's lock as it is, also where it is out of step with the manifest.
    pub frozen: bool,
    /// How registries are reached.
    pub registry: RegistryOptions,
    /// The base for other platforms of the same image, as it was pinned a moment ago.
    pub siblings: Vec<LockedBase>,
    /// Driver and GPUs that the image is for, as far as they were typed; and this machine's.
    pub target: TargetOptions,
}

impl PlanOptions {
    /// Is the base pinned anew?
    pub fn renews_base(&self) -> bool {
        self.renew || self.upgrade_base
    }

    /// Every processor that the image is for.
    pub fn platforms(&self) -> Vec<Architecture> {
        if self.architectures.is_empty() { vec![self.architecture] } else { self.architectures.clone() }
    }
}

/// A plan, and all that was found out on the way.
pub struct Planned {
    /// The project.
    pub project: Project,
    /// What it stands on.
    pub base: LockedBase,
    /// The base, where it is an image.
    pub base_image: Option<BaseImage>,
    /// What the wheels run on.
    pub python: PythonTarget,
    /// Why that base, with its Python, was taken.
    pub python_why: String,
    /// The wheels.
    pub packages: Packages,
    /// What differs between lock and manifest, one clause each.
    pub out_of_step: Vec<String>,
    /// How the service starts.
    pub start: Entry,
    /// The commit, where there is one.
    pub commit: Option<Commit>,
    /// Files of the image that differ from the commit, sorted.
    pub dirty: Vec<String>,
    outside: Outside,
    /// The project's own packages.
    pub own: Vec<OwnWheel>,
    /// Weights, as the image has them.
    pub weights: Vec<SourceFile>,
    /// Those of them that are fetched.
    pub fetched: Vec<FetchedFile>,
    /// The project's other files, as the image has them.
    pub app: Vec<SourceFile>,
    /// As tags have it.
    pub version: String,
    /// corten.lock as it ought to be, and what changed; none where it is as it ought to be.
    pub new_lock: Option<(CortenLock, Vec<String>)>,
    /// What to build.
    pub plan: Plan,
    /// The step that makes the image.
    pub image: StepId,
    /// How registries are reached.
    pub registry: RegistryOptions,
    /// Driver and GPUs that the image is for, as far as they are known.
    pub target: Target,
}

impl Planned {
    /// The base's Debian packages, name and version.
    pub fn debs(&self) -> Vec<String> {
        let given = self.base_image.iter().flat_map(|image| &image.layers).flat_map(|layer| &layer.installed);
        let given =
            given.filter(|one| one.purl.starts_with("pkg:deb/")).map(|one| format!("{} {}", one.name, one.version));
        let locked = self.base.debs.iter().map(|deb| format!("{} {}", deb.name, deb.version));
        locked.chain(given).collect()
    }

    /// What stays out, by reason. Reads the folders that stay out.
    pub fn ignored(&self) -> Result<BTreeMap<String, Ignored>, Failure> {
        self.outside.count()
    }

    /// The largest files of models that lie among the source because no weights are set, largest first.
    pub fn models_in_app(&self) -> Vec<&SourceFile> {
        const SHOWN: usize = 3;
        let settings = &self.project.settings;
        let unset = settings.weights.is_empty() && settings.remote_weights.is_empty();
        let own = self.own.iter().flat_map(OwnWheel::files);
        let mut models: Vec<_> = self.app.iter().chain(own).filter(|file| unset && weights::is_model(file)).collect();
        models.sort_by(|left, right| right.size.cmp(&left.size).then(left.path.cmp(&right.path)));
        models.truncate(SHOWN);
        models
    }

    /// Where the image's files stand.
    pub fn origin(&self) -> Origin<'_> {
        match &self.commit {
            None => Origin::Folder,
            Some(commit) if self.dirty.is_empty() => Origin::Clean(commit),
            Some(commit) => Origin::Dirty(commit),
        }
    }
}

/// Plans the image of a folder.
pub fn plan(folder: &std::path::Path, options: &PlanOptions, world: &World<'_>) -> Result<Planned, Report> {
    let project = Project::open(folder, &options.project, world.events)?;
    let runs_on = options.target.of(&project.settings.gpu, world)?;
    world.indexes.introduce(&project, world.client);
    let out_of_step = stale::out_of_step(&project, options.frozen, world)?;
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| git::commit(&project.folder, world.store));
        let files = scope.spawn(|| files::files(&project, world));
        let target = target(&project, options, world);
        let commit = commit.join().map_err(|_| Failure::bug("the thread that asked git died"))?;
        let files = files.join().map_err(|_| Failure::bug("the thread that read the files died"))?;
        Ok::<_, Report>((target?, commit?, files?))
    })
    .and_then(|(target, commit, files)| assemble(project, target, commit, files, options, world))
    .map(|planned| Planned { out_of_step, target: runs_on, ..planned })
}

struct Platform {
    base: LockedBase,
    image: Option<BaseImage>,
    standalone: Option<Standalone>,
    host: Option<LockedBase>,
    python: PythonTarget,
    python_why: String,
    packages: Packages,
    builds: Option<LockedBuilds>,
}

fn target(project: &Project, options: &PlanOptions, world: &World<'_>) -> Result<Platform, Report> {
    let asked = unlocked::still_asked(&project.lock, asked(project, &options.project))?;
    let all = options.platforms();
    let wanted = bases::Wanted { asked: &asked, architectures: &all, renew: options.renew };
    let choice = bases::choose(project, &wanted, world)?;
    let mut base = base::choose(project, &choice.base, options, world)?;
    let python = base::python(&base)?;
    base.packages = debs::added(project, &base, world)?;
    let host = base::host(project, &choice.base, &base, options.renews_base(), world)?;
    bases::check_python(project, &base.reference, &python.full_version)?;
    let image = images::open(&base, world)?;
    let standalone = standalone::of(project, &base, world)?;
    images::runs(project, &choice.base, &base)?;
    images::is_python(project, &choice.base, &python)?;
    if let Some(image) = &image {
        images::fits(project, &choice.base, image, &python, world);
    }
    let wish = Wish { asked: &asked, python: &python, architectures: &all, renew: options.renew };
    let packages = packages(project, &wish, world)?;
    let builds = builds::lock(
        project,
        &packages,
        &builds::Target { base: &base, python: &python, renew: options.renew },
        world,
    )?;
    if let Some(image) = &image {
        images::agree(&choice.base, image, &packages)?;
    }
    Ok(Platform { base, image, standalone, host, python, python_why: choice.why, packages, builds })
}

/// The groups and extras that the image has.
pub(crate) fn asked(project: &Project, options: &ProjectOptions) -> Asked {
    let settings = &project.settings;
    Asked {
        groups: joined(&settings.groups, &options.groups),
        extras: joined(&settings.extras, &options.extras),
        package: settings.package.as_ref().map(|package| package.value.clone()),
        ..Asked::default()
    }
}

fn joined(settings: &[corten_frontend::settings::Setting<String>], flags: &[String]) -> Vec<String> {
    let mut all: Vec<String> =
        settings.iter().map(|setting| setting.value.clone()).chain(flags.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

fn assemble(
    project: Project,
    platform: Platform,
    commit: Option<Commit>,
    files: Files,
    options: &PlanOptions,
    world: &World<'_>,
) -> Result<Planned, Report> {
    let commit = commit.filter(|_| options.base.is_none());
    let (content, app) = match &options.base {
        None => {
            let content = content(&project, &platform.packages, &files, options, world)?;
            let app = files.without(&project, &content.own.packaged, &content.start);
            (content, app)
        }
        Some(_) => (Content::of_base(&project), Vec::new()),
    };
    let dirty = commit.as_ref().map(|commit| files.dirty(&project, commit)).unwrap_or_default();
    let new_lock = new_lock(&project, &platform, content.remote.locked.clone());
    refuse_changes(new_lock.as_ref().map(|(_, changes)| changes.as_slice()), options)?;
    decide((&platform.python, &platform.python_why), &platform.packages, &content.start, world);
    let made_of = answers(&project, &platform, &content, (commit.as_ref(), &dirty, &app), options, world)?;
    let (plan, image) = lower(made_of);
    Ok(Planned {
        base: platform.base,
        base_image: platform.image,
        python: platform.python,
        python_why: platform.python_why,
        packages: platform.packages,
        out_of_step: Vec::new(),
        start: content.start,
        commit,
        dirty,
        outside: files.outside,
        own: content.own.wheels,
        weights: content.weights,
        fetched: content.remote.fetched,
        app,
        version: content.version,
        new_lock,
        plan,
        image,
        project,
        registry: options.registry.clone(),
        target: Target::default(),
    })
}

/// What the image is made of. `of_commit`: the commit, what differs from it, the project's files.
fn answers(
    project: &Project,
    platform: &Platform,
    content: &Content,
    of_commit: (Option<&Commit>, &[String], &[SourceFile]),
    options: &PlanOptions,
    world: &World<'_>,
) -> Result<Answers, Report> {
    let Platform { base, image, standalone, host, python, packages, builds, .. } = platform;
    let (commit, dirty, app) = of_commit;
    let created = match &options.base {
        None => created(commit, world)?,
        Some(_) => base_build::created(base)?,
    };
    let own_labels = labels(&project.settings, base, &content.version, commit, dirty, created.as_ref());
    let below = image.as_ref().map(|image| &image.config.config);
    let mut answers = Answers {
        base: base.clone(),
        standalone: standalone.as_ref().map(|own| own.layer.clone()),
        image: image.clone(),
        unconfigured: debs::unconfigured(project),
        compiler: host.as_ref().map(base::compiler),
        host: host.clone(),
        python: python.clone(),
        wheels: packages.wheels.clone(),
        builds: builds.clone().map(|locked| builds::steps(project, packages, locked, python)),
        own: content.own.wheels.clone(),
        weights: content.weights.clone(),
        fetched: content.remote.fetched.clone(),
        app: app.to_vec(),
        layers: project.settings.layers.clone(),
        user: project.settings.user.value.clone(),
        config: config(project, &content.start, own_labels, below, options, world),
        created,
    };
    images::leave_out(&mut answers);
    if let Some(contents) = &options.base {
        contents.narrow(&mut answers, project)?;
    }
    Ok(answers)
}

/// What the image says of itself: the project's settings, over what the image below says.
fn config(
    project: &Project,
    start: &Entry,
    own: BTreeMap<String, String>,
    below: Option<&ContainerConfig>,
    options: &PlanOptions,
    world: &World<'_>,
) -> ContainerConfig {
    let mut config = match &options.base {
        None => start::config(&project.settings, start),
        Some(_) => base_build::config(&project.settings),
    };
    if let Some(below) = below {
        inherit::left_out(below, &config).iter().for_each(|note| world.events.note(note));
        config = inherit::inherit(below, config, &project.settings);
    }
    let inherited = config.labels.take().unwrap_or_default();
    let mut labels = own;
    if options.base.is_some() {
        labels.retain(|name, _| LABELS_OF_BASES.contains(&name.as_str()));
    }
    for (name, value) in inherited {
        labels.entry(name).or_insert(value);
    }
    config.labels = Some(labels);
    config
}

/// With `--locked` a lock that would be another is an error.
fn refuse_changes(changes: Option<&[String]>, options: &PlanOptions) -> Result<(), Failure> {
    match changes {
        Some(changes) if options.locked => {
            Err(Failure::input(format!("corten.lock would change: {}", changes.join("; ")))
                .hint("run `corten lock`, or build without --locked, and commit corten.lock"))
        }
        _ => Ok(()),
    }
}

/// Of a base: it depends on nothing else of the project.
const LABELS_OF_BASES: [&str; 3] =
    ["org.opencontainers.image.created", "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"];

/// What an image has of the project itself.
struct Content {
    start: Entry,
    own: Own,
    remote: weights::Remote,
    weights: Vec<SourceFile>,
    version: String,
}

impl Content {
    /// Nothing; the weights that are pinned stay so.
    fn of_base(project: &Project) -> Self {
        let locked = project.corten_lock.as_ref().map(|lock| lock.weights.clone()).unwrap_or_default();
        Self {
            start: base_build::entry(),
            own: Own::default(),
            remote: weights::Remote { files: Vec::new(), fetched: Vec::new(), locked },
            weights: Vec::new(),
            version: "0".to_owned(),
        }
    }
}

fn content(
    project: &Project,
    packages: &Packages,
    files: &Files,
    options: &PlanOptions,
    world: &World<'_>,
) -> Result<Content, Report> {
    let start = files.start(project, packages)?;
    let own = own::own(project, packages, files, world)?;
    let mut remote = weights::remote(project, &files.weights, options.renew, world)?;
    let mut weights = files.weights.clone();
    weights.append(&mut remote.files);
    weights.sort_by(|left, right| left.path.cmp(&right.path));
    let version = version(project, &own, world);
    Ok(Content { start, own, remote, weights, version })
}

/// How many are compiled, and about how many bytes their bytecode has, compressed: half of its sources.
pub fn estimated_bytecode(of: &Sources) -> (usize, u64) {
    let half = |files: &mut dyn Iterator<Item = &SourceFile>| {
        let sources = files.filter(|file| file.path.ends_with(".py"));
        sources.fold((0, 0), |(count, bytes), file| (count + 1, bytes + file.size / 2))
    };
    match of {
        Sources::Wheels(wheels) => {
            (wheels.len(), wheels.iter().map(|wheel| estimated_size(&wheel.file, wheel.size)).sum())
        }
        Sources::Own(wheels) => half(&mut wheels.iter().flat_map(OwnWheel::files)),
        Sources::App(files) => half(&mut files.iter()),
    }
}

fn decide((python, why): (&PythonTarget, &str), packages: &Packages, start: &Entry, world: &World<'_>) {
    let decide = |about, choice: &str, why: &str| world.events.emit(Event::Decision { about, choice, why });
    decide("python", &python.full_version, why);
    let left_out = if packages.groups_left_out.is_empty() {
        String::new()
    } else {
        format!("; left out: {}", packages.groups_left_out.join(", "))
    };
    let groups = if packages.groups.is_empty() { "no groups".to_owned() } else { packages.groups.join(", ") };
    decide("packages", &format!("{} wheels", packages.wheels.len()), &format!("groups: {groups}{left_out}"));
    let why = start.at.as_ref().map_or_else(|| start.rule.clone(), |at| format!("{} at {at}", start.rule));
    decide("start", &start.command.join(" "), &why);
    for source in &packages.sources {
        decide("source", &format!("{} {}", source.name, source.version), &source.sentence());
    }
    for build in &packages.builds {
        decide("source", &format!("{} {}", build.sdist.name, build.sdist.version), &build.sentence());
    }
    for warning in packages.warnings.iter().chain(&start.warning) {
        world.events.warning(warning);
    }
}

fn version(project: &Project, own: &Own, world: &World<'_>) -> String {
    let settings = &project.settings;
    let stated = settings.version.as_ref().map(|version| version.value.as_str());
    let computed = || settings.project.as_ref().and_then(|project| own.version(&project.name.value));
    let poetry = || project.manifest.as_ref().and_then(|manifest| manifest.poetry_version());
    stated.or_else(computed).map(str::to_owned).or_else(poetry).unwrap_or_else(|| {
        world.events.warning("the project's version is dynamic: set `version` to what the image's tags shall say");
        "0+unknown".to_owned()
    })
}

/// The time that the image says it is of: reproducible, or none.
fn created(commit: Option<&Commit>, world: &World<'_>) -> Result<Option<String>, Failure> {
    let seconds = world.source_date_epoch.or(commit.map(|commit| commit.time));
    seconds.map(rfc3339).transpose()
}

/// The annotations of the image specification, then the project's own labels, which win.
fn labels(
    settings: &Settings,
    base: &LockedBase,
    version: &str,
    commit: Option<&Commit>,
    dirty: &[String],
    created: Option<&String>,
) -> BTreeMap<String, String> {
    let project = settings.project.as_ref();
    let revision = commit.map(|commit| match dirty.is_empty() {
        true => commit.id.clone(),
        false => format!("{}-dirty", commit.id),
    });
    let known = [
        ("title", Some(settings.name.value.clone())),
        ("version", Some(version.to_owned())),
        ("revision", revision),
        ("created", created.cloned()),
        ("source", project.and_then(|project| project.repository()).map(str::to_owned)),
        ("description", project.and_then(|project| project.description.clone())),
        ("licenses", project.and_then(|project| project.license.clone())),
        ("base.name", Some(base.whole_name())),
        ("base.digest", base.image.as_ref().map(|image| image.digest.to_string())),
    ];
    let known =
        known.into_iter().filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)));
    let own = settings.labels.iter().map(|(name, value)| (name.clone(), value.value.clone()));
    known.chain(own).collect()
}

/// corten.lock as it ought to be, if it is not. Bases for other processors stay, while they are the same base.
fn new_lock(project: &Project, platform: &Platform, weights: Vec<LockedWeight>) -> Option<(CortenLock, Vec<String>)> {
    let Platform { base, host, packages, builds, .. } = platform;
    let name = project.lock.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut recorded = packages.recorded.clone();
    let mut bases: Vec<LockedBase> = std::iter::once(base).chain(host.as_ref()).cloned().collect();
    if let Some(found) = &project.corten_lock {
        let same = |other: &&LockedBase| {
            let is_other = bases.iter().all(|base| base.architecture != other.architecture);
            is_other && other.reference == base.reference && other.variant == base.variant
        };
        let others: Vec<LockedBase> = found.bases.iter().filter(same).cloned().collect();
        bases.extend(others);
        let before = found.lock.as_ref().filter(|lock| bases.len() > 1 && lock.digest == project.lock_digest);
        for (file, digest) in before.into_iter().flat_map(|lock| &lock.recorded) {
            recorded.entry(file.clone()).or_insert(*digest);
        }
    }
    let found = project.corten_lock.as_ref().filter(|_| bases.len() > 1).and_then(|found| found.build.clone());
    let build = builds::joined(builds.clone(), found);
    bases.sort_by_key(|base| base.architecture);
    let lock = LockedLock { file: name, digest: project.lock_digest, recorded };
    let wanted = CortenLock { version: 1, lock: Some(lock), bases, weights, build };
    let changes = match &project.corten_lock {
        Some(found) if *found == wanted => return None,
        Some(found) => changes(found, &wanted),
        None => vec![match &base.image {
            None => format!("new, with {} packages of {}", base.debs.len(), base.reference),
            Some(image) => format!("new, with {} at {}", base.reference, image.digest.short()),
        }],
    };
    Some((wanted, changes))
}

fn changes(found: &CortenLock, wanted: &CortenLock) -> Vec<String> {
    let mut changes = Vec::new();
    if found.lock != wanted.lock {
        let name = wanted.lock.as_ref().map_or("lock", |lock| lock.file.as_str());
        changes.push(format!("{name} has changed since it was written"));
    }
    let several = wanted.bases.len() > 1;
    for base in &wanted.bases {
        let platform = if several { format!(" (linux/{})", base.architecture) } else { String::new() };
        let Some(before) = found.base(base.architecture) else {
            changes.push(format!("linux/{} comes in, with {} packages", base.architecture, base.debs.len()));
            continue;
        };
        changes.extend(base_changes(before, base).into_iter().map(|change| format!("{change}{platform}")));
    }
    let gone = found.bases.iter().filter(|base| wanted.base(base.architecture).is_none());
    changes.extend(gone.map(|base| format!("{} for linux/{} goes", base.reference, base.architecture)));
    changes.extend(weights::changes(&found.weights, &wanted.weights));
    if found.build != wanted.build {
        changes.push("what building from source needs".to_owned());
    }
    if changes.is_empty() {
        changes.push("the state of the archive".to_owned());
    }
    changes
}

fn base_changes(found: &LockedBase, wanted: &LockedBase) -> Vec<String> {
    let mut changes = Vec::new();
    if found.reference != wanted.reference {
        changes.push(format!("{} → {}", found.reference, wanted.reference));
    }
    if let (Some(found), Some(wanted)) = (&found.image, &wanted.image)
        && found.digest != wanted.digest
    {
        changes.push(format!("{} → {}", found.digest, wanted.digest));
    }
    let own = |base: &LockedBase| base.interpreter.as_ref().map(|own| (own.url.clone(), own.digest));
    match (own(found), own(wanted)) {
        (one, other) if one == other => {}
        (_, Some((url, digest))) => changes.push(format!("interpreter {url} is {digest}")),
        (_, None) => changes.push("Debian's Python in place of another interpreter".to_owned()),
    }
    let versions = |base: &LockedBase| -> BTreeMap<String, String> {
        base.debs.iter().map(|deb| (deb.name.clone(), deb.version.clone())).collect()
    };
    let (old, new) = (versions(found), versions(wanted));
    for (name, version) in &new {
        match old.get(name) {
            None => changes.push(format!("{name} {version} comes in")),
            Some(before) if before != version => changes.push(format!("{name} {before} → {version}")),
            Some(_) => {}
        }
    }
    changes.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("{name} goes")));
    changes.extend(debs::change(found.packages.as_ref(), wanted.packages.as_ref()));
    changes
}
