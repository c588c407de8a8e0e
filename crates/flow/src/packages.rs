//! From a lock to wheels: what the lock says for the target, which file of each package, how large it is.
//!
//! The answer depends on the lock, the manifest, the target and what was asked, and on nothing else; so it is
//! remembered under their digest, and a second build reads neither lock nor index.

use std::collections::BTreeMap;

use corten_diagnostic::{Failure, Report, Span};
use corten_frontend::python::{
    Asked, Files, GitSource, LocalProject, LockFile, LockedFrom, NoWheel, Resolved, Wanted, choose, read, refuse_conda,
    source,
};
use corten_install::python::index;
use corten_oci::{Architecture, Digest};
use corten_package::marker::Environment;
use corten_package::wheel::{Tags, WheelName};
use corten_plan::{LockedWheel, PythonTarget};
use corten_store::Key;
use serde::{Deserialize, Serialize};

use crate::local;
use crate::missing::{self, Missing};
use crate::project::Project;
use crate::remote::{self, mirrored};
use crate::repository;
use crate::sdists::{self, FromSource, Made, Needed};
use crate::world::World;

/// Where wheels come from if nothing else is said.
pub const PYPI: &str = "https://pypi.org/simple";

/// Raised when the choice of wheels changes for the same lock.
const FORMAT: u32 = 7;

/// The packages of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Sorted by name.
    pub wheels: Vec<LockedWheel>,
    /// Those of them that were made of source distributions.
    pub sources: Vec<FromSource>,
    /// Packages that have to be built; not among `wheels`.
    pub builds: Vec<Needed>,
    /// Packages of the project itself.
    pub local: Vec<Local>,
    /// Dependency groups that were taken.
    pub groups: Vec<String>,
    /// Dependency groups that were left out.
    pub groups_left_out: Vec<String>,
    /// What the user ought to know.
    pub warnings: Vec<String>,
    /// Withdrawn versions: name and version, why, and the line of the lock.
    pub yanked: Vec<Yanked>,
    /// Wheels that the lock names without a hash, with the one that was recorded.
    pub recorded: BTreeMap<String, Digest>,
}

/// A package that the lock installs from a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Local {
    /// Normalised (PEP 503).
    pub name: String,
    /// From the project's folder; `.` is the project itself.
    pub path: String,
    /// In the lock, from 1; 0 where the lock does not name it.
    pub line: usize,
}

/// A version that its index has withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yanked {
    /// `pypdfium2 4.30.1`.
    pub package: String,
    /// As the index puts it.
    pub why: String,
    /// In the lock, from 1.
    pub line: usize,
}

/// What is wanted of a project's packages.
pub struct Wish<'a> {
    /// Groups and extras.
    pub asked: &'a Asked,
    /// What they run on.
    pub python: &'a PythonTarget,
    /// Every processor that the image is for: what one of them lacks is told with what the others lack.
    pub architectures: &'a [Architecture],
    /// Choose anew what corten.lock has recorded.
    pub renew: bool,
}

/// Chooses the wheels of `project`.
pub fn packages(project: &Project, wish: &Wish<'_>, world: &World<'_>) -> Result<Packages, Report> {
    let key = key(project, wish, world);
    let recorded = known_hashes(project, wish);
    let known = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice::<Packages>(&bytes).ok());
    if let Some(known) = known.filter(|known| !wish.renew && known.is_as_recorded(&recorded) && known.is_there(world)) {
        local::bring(project, &known, world)?;
        return Ok(known);
    }
    let packages = choose_packages(project, wish, world)?;
    let bytes = serde_json::to_vec(&packages).map_err(|error| Failure::bug(format!("remembering wheels: {error}")))?;
    let batch = world.store.batch();
    batch.record(&key, &bytes)?;
    batch.finish()?;
    Ok(packages)
}

impl Packages {
    /// Is a package of this name among them?
    pub fn has(&self, name: &str) -> bool {
        self.wheels.iter().any(|wheel| wheel.name == name) || self.builds.iter().any(|build| build.sdist.name == name)
    }

    /// Are its files those of corten.lock, which may hold other platforms' beside them?
    fn is_as_recorded(&self, recorded: &BTreeMap<String, Digest>) -> bool {
        recorded.is_empty() || self.recorded.iter().all(|(file, digest)| recorded.get(file) == Some(digest))
    }

    /// Nobody else has the wheels that were made here.
    fn is_there(&self, world: &World<'_>) -> bool {
        self.sources
            .iter()
            .all(|source| matches!(world.store.size(&source.wheel), Ok(Some(size)) if size == source.size))
            && self.builds.iter().all(|build| is_fetchable(build, world))
    }
}

/// What is at no address was taken into the store when it was chosen.
fn is_fetchable(build: &Needed, world: &World<'_>) -> bool {
    let LockedWheel { url, digest, size, .. } = &build.sdist;
    let addressed = url.starts_with("https://") || url.starts_with("http://");
    addressed || matches!(world.store.size(digest), Ok(Some(there)) if there == *size)
}

fn key(project: &Project, wish: &Wish<'_>, world: &World<'_>) -> Key {
    let manifest = project.manifest.as_ref().map(|manifest| Digest::of(manifest.text.as_bytes()));
    let index: Vec<_> = project.settings.index.mirrors.iter().map(|(from, to)| (from, &to.value)).collect();
    let asked = (&wish.asked.groups, wish.asked.no_default_groups, &wish.asked.extras, &wish.asked.package);
    let url = project.settings.index.url.as_ref().map(|url| &url.value);
    let facts = (
        FORMAT,
        project.lock_digest,
        project.members.iter().map(|(folder, member)| (folder, Digest::of(member.text.as_bytes()))).collect::<Vec<_>>(),
        &project.lock.path.file_name().map(|name| name.to_string_lossy().into_owned()),
        manifest,
    );
    let all = (facts, index, url, world.indexes.usual(project.lock.kind), asked, wish.python);
    Key(Digest::of(serde_json::to_vec(&all).unwrap_or_default()))
}

fn choose_packages(project: &Project, wish: &Wish<'_>, world: &World<'_>) -> Result<Packages, Report> {
    let Chosen { resolved, files, missing } = choose_all(project, wish, wish.python.architecture, world)?;
    if !missing.is_empty() {
        return Err(refuse(project, wish, missing, world));
    }
    let yanked = yanked(&resolved, &files);
    let mut recorded = known_hashes(project, wish);
    let pinned = pin_all(project, &resolved, files, &mut recorded, world)?;
    let AllMade { wheels, sources, builds } = make_wheels(&resolved, pinned, world)?;
    Ok(Packages {
        wheels,
        sources,
        builds,
        local: local(&resolved),
        groups: resolved.groups,
        groups_left_out: resolved.groups_left_out,
        warnings: resolved.warnings,
        yanked,
        recorded,
    })
}

/// Names what every platform of the image lacks, not only the one that was looked at first.
fn refuse(project: &Project, wish: &Wish<'_>, missing: Vec<NoWheel>, world: &World<'_>) -> Report {
    let mut here = Some(missing);
    let lacks = |&architecture: &Architecture| {
        let packages = match here.take_if(|_| architecture == wish.python.architecture) {
            Some(missing) => missing,
            None => choose_all(project, wish, architecture, world)?.missing,
        };
        Ok(Missing { architecture, packages })
    };
    match wish.architectures.iter().map(lacks).collect::<Result<Vec<_>, Report>>() {
        Ok(all) => missing::refuse(&all)
            .unwrap_or_else(|| Failure::bug("a package is missing on a platform that nobody asked for").into()),
        Err(error) => error,
    }
}

fn known_hashes(project: &Project, wish: &Wish<'_>) -> BTreeMap<String, Digest> {
    let lock = project.corten_lock.as_ref().filter(|_| !wish.renew).and_then(|lock| lock.lock.as_ref());
    lock.map(|lock| lock.recorded.clone()).unwrap_or_default()
}

/// The packages that the lock installs from folders, sorted by name.
fn local(resolved: &Resolved) -> Vec<Local> {
    let packages = resolved.local.iter().filter(|local| local.package);
    let line = |local: &LocalProject| local.at.as_ref().map_or(0, |at| at.position().0);
    let mut local: Vec<Local> = packages
        .map(|local| Local { name: local.name.to_string(), path: local.path.clone(), line: line(local) })
        .collect();
    local.sort();
    local.dedup();
    local
}

/// Wheels, those of them that were made here, and what has to be built.
#[derive(Default)]
struct AllMade {
    wheels: Vec<LockedWheel>,
    sources: Vec<FromSource>,
    builds: Vec<Needed>,
}

/// Makes wheels of the source distributions among the files; those that have to be built are left out.
fn make_wheels(resolved: &Resolved, pinned: Vec<LockedWheel>, world: &World<'_>) -> Result<AllMade, Report> {
    let pairs: Vec<(&Wanted, LockedWheel)> = resolved.wanted.iter().zip(pinned).collect();
    let made = side_by_side(&pairs, world.jobs, |(wanted, file)| match file.file.ends_with(".whl") {
        true => Ok(Made::Wheel(file.clone(), None)),
        false => sdists::wheel(file.clone(), wanted, world),
    })?;
    let mut all = AllMade::default();
    for made in made {
        match made {
            Made::Wheel(wheel, source) => {
                all.wheels.push(wheel);
                all.sources.extend(source);
            }
            Made::Build(needed) => all.builds.push(needed),
        }
    }
    Ok(all)
}

/// What a lock says for one platform.
struct Chosen {
    resolved: Resolved,
    /// A file for each package, a wheel or else its source distribution; some lack where packages are missing.
    files: Vec<LockFile>,
    missing: Vec<NoWheel>,
}

/// Reads the lock for a platform, whose Python and C library are those of `wish`: they come from the same base.
fn choose_all(
    project: &Project,
    wish: &Wish<'_>,
    architecture: Architecture,
    world: &World<'_>,
) -> Result<Chosen, Report> {
    let environment = Environment::new(wish.python.full_version.clone(), architecture);
    let resolved = read(&project.lock, project.manifest.as_ref(), wish.asked, &environment)?;
    if let Some(failure) = refuse_conda(&project.lock, &resolved.conda) {
        return Err(failure.into());
    }
    let tags = Tags::new(wish.python.version, wish.python.glibc, architecture);
    let known = side_by_side(&resolved.wanted, world.jobs, |wanted| files_of(project, wanted, world))?;
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    let recorded = known_hashes(project, wish);
    for (wanted, known) in resolved.wanted.iter().zip(&known) {
        if let LockedFrom::Git(commit) = &wanted.from
            && commit.is_pinned()
        {
            files.push(repository::file(wanted, commit));
            continue;
        }
        let again = choose_again(wanted, known, &recorded, &tags);
        match again.map_or_else(|| choose(wanted, known, &tags), Ok) {
            Ok(file) => files.push(file),
            Err(no_wheel) => match source(wanted, known).filter(|_| no_wheel.reason.is_buildable()) {
                Some(sdist) => files.push(sdist.clone()),
                None => missing.push(no_wheel),
            },
        }
    }
    Ok(Chosen { resolved, files, missing })
}

fn files_of(project: &Project, wanted: &Wanted, world: &World<'_>) -> Result<Vec<LockFile>, Report> {
    match &wanted.files {
        Files::Known(files) => Ok(files.clone()),
        Files::Named { index, extra, .. } | Files::AskIndex { index, extra, .. } => {
            let set = project.settings.index.url.as_ref().map(|url| url.value.clone());
            let (more, usual) = match (index, &set) {
                (None, None) => world.indexes.usual(project.lock.kind),
                _ => (Vec::new(), None),
            };
            let first = index.clone().or(set).or(usual).unwrap_or_else(|| PYPI.to_owned());
            let indexes: Vec<String> = extra.iter().cloned().chain(more).chain([first]).collect();
            ask_indexes(project, wanted, &indexes, world)
        }
    }
}

/// The files of the first index that has some with the lock's hashes, or, where the lock has none, that has the package
/// at all: versions of two indexes are never mixed, and a name is never searched beyond the indexes that the lock gives.
fn ask_indexes(
    project: &Project,
    wanted: &Wanted,
    indexes: &[String],
    world: &World<'_>,
) -> Result<Vec<LockFile>, Report> {
    let mut last = Ok(Vec::new());
    let allowed = wanted.allowed();
    for index in indexes {
        let address = world.client.know(&mirrored(project, index));
        let files = match index::files(world.client, &address, wanted.name.as_str(), world.events) {
            Err(unknown @ index::IndexError::Unknown { .. }) => {
                last = last.and(Err(unknown));
                continue;
            }
            files => files?,
        };
        let knows = has_no_hashes(wanted) && !files.is_empty();
        let files = files.into_iter().map(|file| with_hash(wanted, lock_file(file)));
        let files: Vec<_> = files.filter(|file| allowed.has(file)).collect();
        if knows || !files.is_empty() {
            return Ok(files);
        }
        last = Ok(files);
    }
    Ok(last?)
}

/// Not every index tells hashes; that of the lock for a file of this name is then the one to hold it to.
fn with_hash(wanted: &Wanted, mut file: LockFile) -> LockFile {
    if let (None, Files::Named { files, .. }) = (file.digest, &wanted.files) {
        file.digest = files.iter().find(|named| named.file == file.file).and_then(|named| named.digest);
    }
    file
}

/// Does the lock leave open which file it means?
fn has_no_hashes(wanted: &Wanted) -> bool {
    matches!(wanted.files, Files::AskIndex { hashes: None, .. })
}

/// What was recorded once stays: a better wheel that came later is another file, and the lock has not changed.
fn choose_again(
    wanted: &Wanted,
    files: &[LockFile],
    recorded: &BTreeMap<String, Digest>,
    tags: &Tags,
) -> Option<LockFile> {
    let same = |file: &LockFile| {
        let digest = Some(recorded.get(&file.file).copied()?);
        Some(LockFile { digest, ..file.clone() })
    };
    let known: Vec<_> = files.iter().filter(|_| has_no_hashes(wanted)).filter_map(same).collect();
    choose(wanted, &known, tags).ok()
}

fn lock_file(file: index::IndexFile) -> LockFile {
    LockFile { file: file.file, url: file.url, digest: file.digest, size: file.size, yanked: file.yanked }
}

fn yanked(resolved: &Resolved, chosen: &[LockFile]) -> Vec<Yanked> {
    let pairs = resolved.wanted.iter().zip(chosen);
    let yanked = pairs.filter_map(|(wanted, file)| Some((wanted, file.yanked.clone()?)));
    yanked.map(|(wanted, why)| Yanked { package: titled(wanted), why, line: wanted.at.position().0 }).collect()
}

fn titled(wanted: &Wanted) -> String {
    match &wanted.version {
        Some(version) => format!("{} {version}", wanted.name),
        None => wanted.name.to_string(),
    }
}

/// Completes what the lock leaves open: size, hash, and the address under the project's mirrors.
fn pin_all(
    project: &Project,
    resolved: &Resolved,
    chosen: Vec<LockFile>,
    recorded: &mut BTreeMap<String, Digest>,
    world: &World<'_>,
) -> Result<Vec<LockedWheel>, Report> {
    let pairs: Vec<(&Wanted, LockFile)> = resolved.wanted.iter().zip(chosen).collect();
    let known = &*recorded;
    let wheels = side_by_side(&pairs, world.jobs, |(wanted, file)| pin(project, wanted, file, known, world))?;
    let mut used = BTreeMap::new();
    for ((wanted, file), wheel) in pairs.iter().zip(&wheels) {
        if matches!(wanted.from, LockedFrom::Git(_)) {
            // Its commit is its hash.
            continue;
        }
        if file.digest.is_none() && !recorded.contains_key(&wheel.file) {
            world
                .events
                .warning(&format!("{} has no hash in the lock; its SHA-256 is recorded in corten.lock", wheel.file));
        }
        if file.digest.is_none() || has_no_hashes(wanted) {
            used.insert(wheel.file.clone(), wheel.digest);
        }
    }
    *recorded = used;
    Ok(wheels)
}

fn pin(
    project: &Project,
    wanted: &Wanted,
    file: &LockFile,
    recorded: &BTreeMap<String, Digest>,
    world: &World<'_>,
) -> Result<LockedWheel, Report> {
    let on_disk = local::path(project, &file.url);
    if let LockedFrom::Git(commit) = &wanted.from {
        let (digest, size) = repository::take_in(file, commit, &wanted.at, world)?;
        let (name, version) = (wanted.name.to_string(), version(wanted, file));
        let direct_url = direct_url(project, &wanted.from, &digest);
        return Ok(LockedWheel {
            name,
            version,
            file: file.file.clone(),
            url: file.url.clone(),
            digest,
            size,
            direct_url,
        });
    }
    let url = if on_disk.is_some() { file.url.clone() } else { remote::shown(&mirrored(project, &file.url)) };
    let digest = file.digest.or_else(|| recorded.get(&file.file).copied());
    let (digest, size) = match (on_disk, digest, file.size) {
        (Some(path), digest, _) => local::take_in(&path, digest, &wanted.at, world)?,
        (None, Some(digest), Some(size)) => (digest, size),
        (None, Some(digest), None) => (digest, remote::size(&url, digest, &titled(wanted), world)?),
        (None, None, _) => remote::first_fetch(&url, world)?,
    };
    let version = version(wanted, file);
    let direct_url = direct_url(project, &wanted.from, &digest);
    Ok(LockedWheel { name: wanted.name.to_string(), version, file: file.file.clone(), url, digest, size, direct_url })
}

/// As locked, else as a wheel's name says; empty where only a build can tell.
fn version(wanted: &Wanted, file: &LockFile) -> String {
    let of_wheel = || Some(WheelName::parse(&file.file).ok()?.version.to_string());
    wanted.version.as_ref().map(ToString::to_string).or_else(of_wheel).unwrap_or_default()
}

/// PEP 610, for what was locked by URL.
fn direct_url(project: &Project, from: &LockedFrom, digest: &Digest) -> Option<String> {
    let url = match from {
        LockedFrom::Url(url) => remote::shown(url),
        LockedFrom::File(path) => in_image(project, path),
        LockedFrom::Git(commit) => return Some(of_commit(commit)),
        LockedFrom::Registry => return None,
    };
    let document = serde_json::json!({"url": url, "archive_info": {"hashes": {"sha256": digest.hex()}}});
    Some(document.to_string())
}

fn of_commit(commit: &GitSource) -> String {
    let shown = commit.to_string();
    let url = shown.split_once(&format!("@{}", commit.commit)).map_or("", |(url, _)| url);
    let mut document = serde_json::json!({"url": url, "vcs_info": {"vcs": "git", "commit_id": commit.commit}});
    if let Some(folder) = &commit.subdirectory {
        document["subdirectory"] = folder.as_str().into();
    }
    document.to_string()
}

/// Where a file of the project would lie in the image; of one elsewhere only the name is told.
fn in_image(project: &Project, path: &str) -> String {
    let plain = path.trim_start_matches("./");
    let inside = !plain.contains("://") && !plain.starts_with('/') && !plain.split('/').any(|part| part == "..");
    let name = plain.rsplit('/').next().unwrap_or_default();
    let workdir = project.settings.workdir.value.trim_end_matches('/');
    if inside { format!("file://{workdir}/{plain}") } else { format!("file:///{name}") }
}

/// Maps items on `jobs` threads; the results keep the items' order, the first error wins.
pub fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> Result<R, Report> + Sync,
) -> Result<Vec<R>, Report> {
    let size = items.len().div_ceil(jobs.max(1)).max(1);
    let work = &work;
    let parts = std::thread::scope(|scope| {
        let threads = items.chunks(size).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<_>>()));
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut results = Vec::with_capacity(items.len());
    for part in parts {
        let part = part.map_err(|_| Failure::bug("a thread that chose wheels died"))?;
        for result in part {
            results.push(result?);
        }
    }
    Ok(results)
}

/// The line of the lock that a finding about `packages` points to.
pub fn lock_line(project: &Project, line: usize) -> Span {
    Span::line_of(&project.lock.path, std::sync::Arc::clone(&project.lock.text), line)
}

#[cfg(test)]
mod tests {
    use corten_frontend::python::{LockKind, LockText, NamedFile};
    use corten_oci::Architecture;

    use super::*;

    fn wanted(text: &str) -> Wanted {
        let lock = LockText::new(LockKind::Requirements, "requirements.txt", text);
        let environment = Environment::new("3.11.2", Architecture::Amd64);
        read(&lock, None, &Asked::default(), &environment).unwrap().wanted.remove(0)
    }

    fn file(name: &str) -> LockFile {
        let (url, digest) = (format!("https://f.example/{name}"), Some(Digest::of(name)));
        LockFile { file: name.to_owned(), url, digest, size: None, yanked: None }
    }

    const PURE: &str = "a-1.0-py3-none-any.whl";
    const BETTER: &str = "a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl";

    /// Somebody uploads a better wheel of the same version, or changes the one that there was.
    #[test]
    fn what_was_recorded_stays_until_the_lock_changes() {
        let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
        let first = Digest::of("as it was at first");
        let recorded = BTreeMap::from([(PURE.to_owned(), first)]);
        let files = [file(PURE), file(BETTER)];
        let again = choose_again(&wanted("a==1.0"), &files, &recorded, &tags).unwrap();
        assert_eq!((again.file.as_str(), again.digest), (PURE, Some(first)), "its bytes are held to the first ones");
        let newer = [file(PURE), file("a-1.1-py3-none-any.whl")];
        assert!(choose_again(&wanted("a==1.1"), &newer, &recorded, &tags).is_none(), "another version is another file");
        assert!(choose_again(&wanted("a==1.0"), &files, &BTreeMap::new(), &tags).is_none());
        let hashed = format!("a==1.0 --hash={}", Digest::of(BETTER));
        assert!(choose_again(&wanted(&hashed), &files, &recorded, &tags).is_none(), "the lock itself has a hash");
    }

    /// An index that tells no hashes must not make the lock's be forgotten.
    #[test]
    fn a_file_that_the_lock_names_is_held_to_its_hash() {
        let named = NamedFile { file: PURE.to_owned(), digest: Some(Digest::of("locked")) };
        let files = Files::Named { index: None, extra: Vec::new(), files: vec![named] };
        let wanted = Wanted { files, ..wanted("a==1.0") };
        let bare = |name: &str| with_hash(&wanted, LockFile { digest: None, ..file(name) });
        assert_eq!(bare(PURE).digest, Some(Digest::of("locked")));
        let allowed = wanted.allowed();
        assert!(allowed.has(&bare(PURE)) && !allowed.has(&bare(BETTER)) && !allowed.has(&file(PURE)));
    }
}
