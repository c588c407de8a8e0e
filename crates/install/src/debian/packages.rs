//! Packages beside those of a base: locked against the base as it is pinned, so that its layer stays the same bytes.
//!
//! Nothing of the base is upgraded: what would need that is refused by name. And the other way round: which package has
//! a file, from the archive's `Contents`, which is large and fetched only when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use corten_oci::Architecture;

use super::archive::{Archive, BaseRequest, index_url, locked, not_older};
use super::base::is_partial;
use super::error::ArchiveError;
use super::lock::{LockedDeb, Variant};
use super::solver::{self, SolveError};
use super::universe::{Id, Universe};
use crate::fetch::{self, Download};

/// A line of `Contents`; Debian 12's longest has about 400 bytes.
pub(super) const LONGEST_LINE: u64 = 1 << 16;
/// Bytes of `Contents`, unpacked. Debian 12's has 150 MB.
pub(super) const LONGEST_CONTENTS: u64 = 4 << 30;

/// What is added to a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedPackages {
    /// The newest `Date` of the archive's Release files, seconds since 1970.
    pub epoch: u64,
    /// Sorted by name.
    pub debs: Vec<LockedDeb>,
}

/// Chooses what `request.extra` adds to `base`, from the archive's present state.
///
/// # Errors
/// As [`super::lock_base`]; and where a package needs another version than the base has.
pub fn lock_packages(
    archive: &Archive<'_>,
    request: &BaseRequest<'_>,
    base: &[LockedDeb],
) -> Result<AddedPackages, ArchiveError> {
    let suites = archive.suites(request)?;
    let epoch = suites.iter().map(|suite| suite.release.date).max().unwrap_or(0);
    not_older(request, epoch)?;
    let universe = Universe::new(suites.iter().map(|suite| (&suite.index, suite.mirror)));
    let chosen = choose(&universe, request, base)?;
    Ok(AddedPackages { epoch, debs: chosen.iter().filter_map(|id| locked(&universe, *id)).collect() })
}

/// As [`lock_packages`], from indexes that are at hand.
///
/// # Errors
/// When a package does not exist or fit, or needs another version than the base has.
pub fn choose(universe: &Universe<'_>, request: &BaseRequest<'_>, base: &[LockedDeb]) -> Result<Vec<Id>, ArchiveError> {
    let part = |name: &&String| is_partial(name) && base.iter().any(|deb| deb.name == **name);
    if let Some(package) = request.extra.iter().find(part).filter(|_| request.variant == Variant::Distroless) {
        return Err(ArchiveError::Partial { package: package.clone() });
    }
    let installed: Vec<Id> = base.iter().filter_map(|deb| universe.find(&deb.name)).collect();
    let met = request.variant.met();
    let wanted = request.extra.iter().map(String::as_str).filter(|name| !met.contains(name)).collect();
    let cut = request.variant.cut_of_added();
    let chosen = solver::solve(universe, &solver::Request { wanted, cut, met, installed: installed.clone() });
    let chosen = chosen.map_err(|error| match error {
        SolveError::Unknown { name, similar } => {
            let (suite, architecture) = (request.suite.to_owned(), request.architecture);
            ArchiveError::Unknown { suite, architecture, name, similar }
        }
        other => ArchiveError::Solve(other),
    })?;
    let fit = Fit { universe, base, installed: &installed, chosen: &chosen, request };
    chosen.iter().try_for_each(|id| fit.check(*id))?;
    Ok(chosen)
}

/// The solver counts the base's packages as the archive has them now; those of the base may be older.
struct Fit<'a> {
    universe: &'a Universe<'a>,
    base: &'a [LockedDeb],
    installed: &'a [Id],
    chosen: &'a [Id],
    request: &'a BaseRequest<'a>,
}

impl Fit<'_> {
    fn check(&self, id: Id) -> Result<(), ArchiveError> {
        let package = self.universe.name(id);
        for group in self.universe.needs(id).map_err(SolveError::from)? {
            let dropped = self.request.variant.cut_of_added().drops(package, &group)
                || group.iter().any(|relation| self.request.variant.met().contains(&relation.name));
            if dropped || group.iter().any(|relation| self.is_met(relation)) {
                continue;
            }
            let older = group
                .iter()
                .find_map(|relation| Some((relation, self.base.iter().find(|deb| deb.name == relation.name)?)));
            if let Some((relation, deb)) = older {
                return Err(ArchiveError::Outdated {
                    package: package.to_owned(),
                    need: relation.to_string(),
                    found: format!("{} {}", deb.name, deb.version),
                });
            }
        }
        Ok(())
    }

    fn is_met(&self, relation: &super::relation::Relation<'_>) -> bool {
        let of_base = self.base.iter().find(|deb| deb.name == relation.name);
        let targets = self.universe.targets(relation);
        let others = |id: &&Id| self.universe.name(**id) != relation.name && self.installed.contains(id);
        of_base.is_some_and(|deb| relation.admits(&deb.version))
            || targets.iter().any(|id| self.chosen.contains(id))
            || targets.iter().any(|id| others(&id))
    }
}

/// Which packages of the main suite have files of these names in a folder where libraries are sought: by name, the first
/// in the order of the alphabet. `request.extra` is not looked at.
///
/// # Errors
/// When the archive cannot be reached, is not signed by a trusted key, or is not what it should be.
pub fn files_of_packages(
    archive: &Archive<'_>,
    request: &BaseRequest<'_>,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, ArchiveError> {
    let contents = contents(archive, request)?;
    search(BufReader::new(contents.take(LONGEST_CONTENTS)), names, request.architecture)
        .map_err(|source| ArchiveError::Index { suite: request.suite.to_owned(), source: source.into() })
}

/// The main suite's `Contents`, unpacked.
pub(super) fn contents(archive: &Archive<'_>, request: &BaseRequest<'_>) -> Result<impl Read, ArchiveError> {
    let [main, ..] = archive.wanted(request.suite);
    let release = archive.release(&main, request)?;
    let path = format!("main/Contents-{}.gz", request.architecture.go_name());
    let file =
        release.index(&path).map_err(|source| ArchiveError::Release { suite: request.suite.to_owned(), source })?;
    let download = Download {
        urls: vec![index_url(&main, &release, &path, &file.digest)],
        digest: file.digest,
        size: Some(file.size),
        what: format!("contents of the packages of {}", request.suite),
    };
    fetch::fetch(archive.client, archive.store, &download, archive.events)?;
    corten_layer::xz::reader(&path, archive.store.read(&file.digest)?)
        .map_err(|source| ArchiveError::Index { suite: request.suite.to_owned(), source: source.into() })
}

/// Lines are `usr/lib/x86_64-linux-gnu/libGL.so.1    libs/libgl1,…`: a path, blanks, sections with packages.
fn search(
    mut contents: impl BufRead,
    names: &BTreeSet<String>,
    architecture: Architecture,
) -> std::io::Result<BTreeMap<String, String>> {
    let triplet = architecture.triplet();
    let folders = [format!("usr/lib/{triplet}"), format!("lib/{triplet}"), "usr/lib".to_owned(), "lib".to_owned()];
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if contents.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let Some((path, packages)) = text.trim_end().rsplit_once([' ', '\t']) else { continue };
        let Some((folder, name)) = path.trim_end().rsplit_once('/') else { continue };
        if !folders.iter().any(|known| known == folder) || !names.contains(name) {
            continue;
        }
        let packages = packages.split(',').filter_map(|package| package.rsplit('/').next());
        for package in packages.filter(|package| super::relation::is_name(package)) {
            let known = found.entry(name.to_owned()).or_insert_with(|| package.to_owned());
            if package < known.as_str() {
                *known = package.to_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_where_the_loader_looks_and_nowhere_else() {
        let text = "usr/lib/x86_64-linux-gnu/libGL.so.1                 libs/libgl1\n\
                    usr/lib/debug/libGL.so.1   debug/no\n\
                    usr/lib/x86_64-linux-gnu/libz.so.1\tnon-free/libs/zz,libs/zlib1g\n\
                    no blank\n\
                    usr/lib/x86_64-linux-gnu/libX.so  libs/<script>\n";
        let names = ["libGL.so.1", "libz.so.1", "libX.so"].map(str::to_owned).into();
        let found = search(text.as_bytes(), &names, Architecture::Amd64).unwrap();
        let expected = [("libGL.so.1", "libgl1"), ("libz.so.1", "zlib1g")];
        assert_eq!(found, expected.map(|(name, package)| (name.to_owned(), package.to_owned())).into());
    }
}
