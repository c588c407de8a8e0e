//! Debian's archive: from the signed state of three suites to a locked base, and from a lock to its .debs.
//!
//! ```text
//! InRelease of main, updates, security ─► verify ─► Packages.xz by digest ─► solve ─► lock
//! lock ─► store? archive? snapshot service? ─► .deb in the store, checked by SHA-256
//! ```
//!
//! Nothing that comes over the wire counts before a signature or a digest has spoken for it, so plain HTTP is enough.

use std::thread;

use corten_diagnostic::Events;
use corten_net::{Client, NetError, Request};
use corten_oci::{Architecture, Digest};
use corten_store::{Key, Store};

use super::error::ArchiveError;
use super::index::Index;
use super::keyring::{Keyring, Purpose};
use super::lock::{LockedBase, LockedDeb, Mirror, Variant};
use super::release::{Expected, Release, age};
use super::seeds::Debian;
use super::signature;
use super::solver;
use super::universe::{Id, Universe};
use crate::fetch::{self, Download, FetchError};

/// How many downloads run at a time.
const JOBS: usize = 8;
/// A suite that changes daily but has no `Valid-Until` is doubted after 30 days.
const DOUBTED: u64 = 30 * 86_400;
/// A snapshot service takes some time to see what an archive has published.
const SNAPSHOT_DELAY: u64 = 12 * 3600;

/// Where the archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// With `dists/` and `pool/` of the release and its updates.
    pub main: String,
    /// The same of the security updates.
    pub security: String,
    /// A service that keeps every state of both: `https://snapshot.debian.org`.
    pub snapshot: Option<String>,
}

impl Default for Mirrors {
    fn default() -> Self {
        Self {
            main: "http://deb.debian.org/debian".into(),
            security: "http://deb.debian.org/debian-security".into(),
            snapshot: None,
        }
    }
}

/// What the archive is read with.
#[derive(Clone, Copy)]
pub struct Archive<'a> {
    /// The network.
    pub client: &'a Client,
    /// Where indexes and .debs are kept.
    pub store: &'a Store,
    /// Where the archive is.
    pub mirrors: &'a Mirrors,
    /// Whose signatures count.
    pub keyring: &'a Keyring,
    /// Who listens.
    pub events: &'a dyn Events,
}

/// Which base to lock.
#[derive(Debug, Clone, Copy)]
pub struct BaseRequest<'a> {
    /// `bookworm`.
    pub suite: &'a str,
    /// How much of Debian.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Packages beside those of the variant, by name.
    pub extra: &'a [String],
    /// The present, seconds since 1970.
    pub now: u64,
    /// [`LockedBase::epoch`] of the last lock: no older state of the archive is taken.
    pub seen: Option<u64>,
}

/// Chooses a base's packages from the archive's present state.
///
/// # Errors
/// When the archive cannot be reached, is not signed by a trusted key, has expired or is older than what was seen
/// before; when an extra package does not exist or fit.
pub fn lock_base(archive: &Archive<'_>, request: &BaseRequest<'_>) -> Result<LockedBase, ArchiveError> {
    lock(archive, request, Own::Python, &[])
}

/// The same, with packages that are locked without what they need: of them only files are taken.
///
/// # Errors
/// As [`lock_base`].
pub fn lock_base_beside(
    archive: &Archive<'_>,
    request: &BaseRequest<'_>,
    beside: &[String],
) -> Result<LockedBase, ArchiveError> {
    lock(archive, request, Own::Python, beside)
}

/// The same without Debian's Python: another interpreter takes its place. The version of its Python is empty.
///
/// # Errors
/// As [`lock_base`].
pub fn lock_base_without_python(archive: &Archive<'_>, request: &BaseRequest<'_>) -> Result<LockedBase, ArchiveError> {
    lock(archive, request, Own::Nothing, &[])
}

/// What of Debian a base has for running.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Python,
    Nothing,
}

fn lock(
    archive: &Archive<'_>,
    request: &BaseRequest<'_>,
    own: Own,
    beside: &[String],
) -> Result<LockedBase, ArchiveError> {
    let debian = Debian::find(request.suite).ok_or_else(|| ArchiveError::Suite { suite: request.suite.into() })?;
    let suites = archive.suites(request)?;
    let epoch = suites.iter().map(|suite| suite.release.date).max().unwrap_or(0);
    not_older(request, epoch)?;
    let universe = Universe::new(suites.iter().map(|suite| (&suite.index, suite.mirror)));
    let mut chosen = choose(&universe, debian, request, own)?;
    for name in beside {
        let id = universe.find(name).ok_or_else(|| ArchiveError::Unknown {
            suite: request.suite.into(),
            name: name.clone(),
            architecture: request.architecture,
            similar: None,
        })?;
        if !chosen.contains(&id) {
            chosen.push(id);
        }
    }
    chosen.sort_by_key(|id| universe.name(*id));
    let debs: Vec<LockedDeb> = chosen.iter().filter_map(|id| locked(&universe, *id)).collect();
    let mut seeds = request.extra.to_vec();
    seeds.sort_unstable();
    seeds.dedup();
    Ok(LockedBase {
        suite: request.suite.into(),
        variant: request.variant,
        architecture: request.architecture,
        python: match own {
            Own::Python => upstream(&debs, &debian.python_package())?,
            Own::Nothing => String::new(),
        },
        glibc: upstream(&debs, "libc6")?,
        seeds,
        epoch,
        debs,
    })
}

/// Puts every .deb into the store: from there, else from the archive, else from the snapshot service where one is set.
/// `epoch` is that of the lock.
///
/// # Errors
/// When one is nowhere to be had, or differs from what is locked.
pub fn fetch_debs(archive: &Archive<'_>, debs: &[LockedDeb], epoch: u64) -> Result<(), ArchiveError> {
    let downloads: Vec<Download> = debs.iter().map(|deb| archive.download(deb, epoch)).collect();
    fetch::fetch_all(archive.client, archive.store, &downloads, JOBS, archive.events).map_err(|error| match error {
        FetchError::Net { what, source: source @ NetError::Status { status: 404 | 410, .. } } => {
            ArchiveError::Gone { what, snapshot: archive.mirrors.snapshot.is_some(), source }
        }
        other => ArchiveError::Fetch(other),
    })
}

/// The packages of a base, sorted by name: those of the variant first, so that they do not depend on the extra ones.
fn choose(
    universe: &Universe<'_>,
    debian: &Debian,
    request: &BaseRequest<'_>,
    own: Own,
) -> Result<Vec<Id>, ArchiveError> {
    let variant = request.variant;
    let mut wanted = debian.seeds(variant);
    if own == Own::Nothing {
        wanted.retain(|name| !name.starts_with("python3") && !name.starts_with("libpython3"));
    }
    if variant == Variant::Slim {
        let essential = universe.iter().filter(|(_, candidate)| candidate.package.essential);
        wanted.extend(essential.map(|(id, _)| universe.name(id)));
    }
    let base = solver::Request { wanted, cut: variant.cut(), met: variant.met(), installed: Vec::new() };
    let mut chosen = solver::solve(universe, &base)?;
    if !request.extra.is_empty() {
        let met = variant.met();
        let extra = request.extra.iter().map(String::as_str).filter(|name| !met.contains(name)).collect();
        let extra = solver::Request { wanted: extra, cut: variant.cut_of_added(), met, installed: chosen.clone() };
        chosen.extend(solver::solve(universe, &extra)?);
        chosen.sort_by_key(|id| universe.name(*id));
    }
    Ok(chosen)
}

pub(super) fn locked(universe: &Universe<'_>, id: Id) -> Option<LockedDeb> {
    let candidate = universe.get(id)?;
    let package = candidate.package;
    Some(LockedDeb {
        name: package.name.into(),
        version: package.version.into(),
        architecture: package.architecture.into(),
        mirror: candidate.mirror,
        path: package.path.into(),
        size: package.size,
        digest: package.digest,
    })
}

/// The upstream version of a chosen package.
fn upstream(debs: &[LockedDeb], name: &str) -> Result<String, ArchiveError> {
    let version = debs.iter().find(|deb| deb.name == name).and_then(|deb| {
        let version: corten_package::deb::Version = deb.version.parse().ok()?;
        Some(version.upstream().to_owned())
    });
    version.ok_or_else(|| ArchiveError::Lacks { package: name.into() })
}

pub(super) fn not_older(request: &BaseRequest<'_>, epoch: u64) -> Result<(), ArchiveError> {
    match request.seen.and_then(|seen| seen.checked_sub(epoch)).filter(|by| *by > 0) {
        Some(by) => Err(ArchiveError::Release {
            suite: request.suite.into(),
            source: super::release::ReleaseError::Older { by },
        }),
        None => Ok(()),
    }
}

/// One suite: its signed state and its packages.
pub(super) struct Suite {
    pub(super) mirror: Mirror,
    pub(super) release: Release,
    pub(super) index: Index,
}

/// A suite's name and where it is.
pub(super) struct Wanted<'a> {
    codename: String,
    mirror: Mirror,
    root: &'a str,
    purpose: Purpose,
    label: &'static str,
}

impl<'a> Archive<'a> {
    /// The three suites of a release, read side by side.
    pub(super) fn suites(&self, request: &BaseRequest<'_>) -> Result<Vec<Suite>, ArchiveError> {
        let wanted = self.wanted(request.suite);
        thread::scope(|scope| {
            let running: Vec<_> = wanted.iter().map(|suite| scope.spawn(move || self.suite(suite, request))).collect();
            running.into_iter().map(|one| one.join().unwrap_or(Err(ArchiveError::Panicked))).collect()
        })
    }

    pub(super) fn wanted(&self, suite: &str) -> [Wanted<'a>; 3] {
        let main = |codename: String| Wanted {
            codename,
            mirror: Mirror::Main,
            root: &self.mirrors.main,
            purpose: Purpose::Archive,
            label: "Debian",
        };
        let security = Wanted {
            codename: format!("{suite}-security"),
            mirror: Mirror::Security,
            root: &self.mirrors.security,
            purpose: Purpose::Security,
            label: "Debian-Security",
        };
        [main(suite.into()), main(format!("{suite}-updates")), security]
    }

    fn suite(&self, wanted: &Wanted<'_>, request: &BaseRequest<'_>) -> Result<Suite, ArchiveError> {
        let release = self.release(wanted, request)?;
        let path = format!("main/binary-{}/Packages.xz", request.architecture.go_name());
        let file = release.index(&path).map_err(|source| wanted.wrong(source))?;
        let key = Key(Index::key(&file.digest, request.architecture));
        if let Some(index) = self.store.record(&key)?.and_then(Index::recall) {
            return Ok(Suite { mirror: wanted.mirror, release, index });
        }
        let download = Download {
            urls: vec![index_url(wanted, &release, &path, &file.digest)],
            digest: file.digest,
            size: Some(file.size),
            what: format!("package index of {}", wanted.codename),
        };
        fetch::fetch(self.client, self.store, &download, self.events)?;
        let packages = corten_layer::xz::reader(&path, self.store.read(&file.digest)?);
        let index = packages.map_err(Into::into).and_then(|packages| Index::parse(packages, request.architecture));
        let index = index.map_err(|source| ArchiveError::Index { suite: wanted.codename.clone(), source })?;
        let batch = self.store.batch();
        batch.record(&key, index.remembered())?;
        batch.finish()?;
        Ok(Suite { mirror: wanted.mirror, release, index })
    }

    pub(super) fn release(&self, wanted: &Wanted<'_>, request: &BaseRequest<'_>) -> Result<Release, ArchiveError> {
        let url = format!("{}/InRelease", wanted.folder());
        let suite = || wanted.codename.clone();
        let message = self
            .client
            .bytes(&Request::get(&url), signature::MAX_MESSAGE)
            .map_err(|source| ArchiveError::Unreachable { suite: suite(), source })?;
        let signed = signature::verify(&message, self.keyring, request.suite, wanted.purpose, request.now)
            .map_err(|source| ArchiveError::Signature { suite: suite(), source })?;
        let release = Release::parse(&signed.text).map_err(|source| wanted.wrong(source))?;
        let label = self.keyring.is_debian().then_some(wanted.label);
        let expected = Expected { codename: &wanted.codename, label, now: request.now, seen: None };
        release.check(&expected).map_err(|source| wanted.wrong(source))?;
        self.doubt(wanted, &release, request);
        Ok(release)
    }

    /// Updates and security updates come often; a state of them that is old and says of itself no end is doubtful.
    fn doubt(&self, wanted: &Wanted<'_>, release: &Release, request: &BaseRequest<'_>) {
        let old = request.now.saturating_sub(release.date);
        if wanted.codename != request.suite && release.valid_until.is_none() && old > DOUBTED {
            let text = format!("the mirror's state of {} is {} old, and sets itself no end", wanted.codename, age(old));
            self.events.warning(&text);
        }
    }

    fn download(&self, deb: &LockedDeb, epoch: u64) -> Download {
        let (root, name) = match deb.mirror {
            Mirror::Main => (&self.mirrors.main, "debian"),
            Mirror::Security => (&self.mirrors.security, "debian-security"),
        };
        let path = escaped(&deb.path);
        let mut urls = vec![format!("{}/{path}", root.trim_end_matches('/'))];
        if let Some(snapshot) = &self.mirrors.snapshot {
            let snapshot = snapshot.trim_end_matches('/');
            let times = [epoch.saturating_add(SNAPSHOT_DELAY), epoch];
            urls.extend(
                times.into_iter().filter_map(stamp).map(|time| format!("{snapshot}/archive/{name}/{time}/{path}")),
            );
        }
        let what = format!("{} {}", deb.name, deb.version);
        Download { urls, digest: deb.digest, size: Some(deb.size), what }
    }
}

impl Wanted<'_> {
    pub(super) fn folder(&self) -> String {
        format!("{}/dists/{}", self.root.trim_end_matches('/'), self.codename)
    }

    fn wrong(&self, source: super::release::ReleaseError) -> ArchiveError {
        ArchiveError::Release { suite: self.codename.clone(), source }
    }
}

/// By digest where the archive offers that: then a mirror in the middle of an update does no harm.
pub(super) fn index_url(wanted: &Wanted<'_>, release: &Release, path: &str, digest: &Digest) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if release.by_hash => {
            format!("{}/{folder}/by-hash/SHA256/{}", wanted.folder(), digest.hex())
        }
        _ => format!("{}/{path}", wanted.folder()),
    }
}

/// `+` and `~` stand in many versions; some servers read a plain `+` as a blank.
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('+', "%2B")
}

/// `20260711T101637Z`.
fn stamp(seconds: u64) -> Option<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.strftime("%Y%m%dT%H%M%SZ").to_string())
}
