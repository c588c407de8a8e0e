//! What a newer base brings: which packages change, which of them by Debian's security updates, and which vulnerabilities
//! the changelogs in the new packages name. And how old a base is.
//!
//! Security updates are those that come from the archive's security suite. A point release takes them over into main later;
//! their changelogs name the vulnerabilities there, too.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Report;
use corten_engine::convert;
use corten_install::debian::changelog::{self, Changelog};
use corten_install::debian::deb::DebFile;
use corten_install::debian::fetch_debs;
use corten_plan::{LockedBase, LockedDeb, Mirror};
use serde::Serialize;

use crate::base::Sources;
use crate::images;
use crate::project::Project;
use crate::world::World;

/// From this age on, in days, a base is worth a warning.
pub const OLD: u64 = 30;
const DAY: u64 = 86_400;

/// How old a base is, in days; none where it does not say when it was made.
pub fn age(base: &LockedBase, world: &World<'_>) -> Option<u64> {
    let now = u64::try_from(world.now).ok()?;
    (base.archive.epoch > 0).then(|| now.saturating_sub(base.archive.epoch) / DAY)
}

/// A package that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// For which platform.
    pub platform: String,
    /// Binary package.
    pub name: String,
    /// The version that was pinned; none of what comes in.
    pub from: Option<String>,
    /// The version that is pinned now; none of what goes.
    pub to: Option<String>,
    /// Does it come from the security suite?
    pub security: bool,
    /// What the changelog in the new package names of the versions in between; none where that is not known.
    pub vulnerabilities: Option<Vec<String>>,
}

/// What changes between two states of the same bases.
pub fn changes(
    project: &Project,
    old: &[LockedBase],
    new: &[LockedBase],
    world: &World<'_>,
) -> Result<Vec<PackageChange>, Report> {
    let mut all = Vec::new();
    for base in new {
        let before = old.iter().find(|before| before.architecture == base.architecture);
        let Some(before) = before.filter(|before| before.reference == base.reference) else { continue };
        all.extend(match base.image {
            Some(_) => of_images(before, base, world)?,
            None => of_archive(project, before, base, world)?,
        });
    }
    Ok(all)
}

/// Each name's version, and what has it.
type Versions<'a> = BTreeMap<&'a str, (&'a str, Option<&'a LockedDeb>)>;

fn debs(base: &LockedBase) -> Versions<'_> {
    let added = base.packages.iter().flat_map(|added| &added.debs);
    base.debs.iter().chain(added).map(|deb| (deb.name.as_str(), (deb.version.as_str(), Some(deb)))).collect()
}

fn different(base: &LockedBase, old: &Versions<'_>, new: &Versions<'_>) -> Vec<PackageChange> {
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let change = |name: &str| {
        let (from, to) = (old.get(name), new.get(name));
        let changed = from.map(|it| it.0) != to.map(|it| it.0);
        changed.then(|| PackageChange {
            platform: format!("linux/{}", base.architecture),
            name: name.to_owned(),
            from: from.map(|(version, _)| (*version).to_owned()),
            to: to.map(|(version, _)| (*version).to_owned()),
            security: to.is_some_and(|(_, deb)| deb.is_some_and(|deb| deb.mirror == Mirror::Security)),
            vulnerabilities: None,
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// An image says which packages it has, and not where they are from.
fn of_images(old: &LockedBase, new: &LockedBase, world: &World<'_>) -> Result<Vec<PackageChange>, Report> {
    let (Ok(Some(before)), Some(now)) = (images::open(old, world), images::open(new, world)?) else {
        return Ok(Vec::new());
    };
    Ok(different(new, &before.packages(), &now.packages()))
}

fn of_archive(
    project: &Project,
    old: &LockedBase,
    new: &LockedBase,
    world: &World<'_>,
) -> Result<Vec<PackageChange>, Report> {
    let (before, now) = (debs(old), debs(new));
    let mut changes = different(new, &before, &now);
    let mut changelogs = Changelogs { now: &now, base: new, project, world };
    for change in &mut changes {
        if let (Some(from), Some(to)) = (&change.from, &change.to) {
            change.vulnerabilities = changelogs.named(&change.name, from, to)?;
        }
    }
    Ok(changes)
}

struct Changelogs<'a> {
    now: &'a Versions<'a>,
    base: &'a LockedBase,
    project: &'a Project,
    world: &'a World<'a>,
}

impl Changelogs<'_> {
    /// What is named between two versions of a package, by its changelog or by that of the package that it links to.
    fn named(&mut self, name: &str, from: &str, to: &str) -> Result<Option<Vec<String>>, Report> {
        let text = match self.read(name)? {
            Changelog::In(other) => self.read(&other)?,
            own => own,
        };
        Ok(match text {
            Changelog::Text(text) => changelog::vulnerabilities(&text, from, to),
            Changelog::In(_) | Changelog::Absent => None,
        })
    }

    /// Of the new package, which the next build needs anyway.
    fn read(&self, name: &str) -> Result<Changelog, Report> {
        let Some((_, Some(deb))) = self.now.get(name) else { return Ok(Changelog::Absent) };
        let sources = Sources::of(self.project)?;
        let epoch = self.base.archive.epoch;
        fetch_debs(&sources.archive(self.world), &[convert::to_install(deb)], epoch)?;
        let file = DebFile {
            name: deb.name.clone(),
            version: deb.version.clone(),
            architecture: deb.architecture.clone(),
            path: self.world.store.blob_path(&deb.digest),
        };
        Ok(changelog::read(&file)?)
    }
}
