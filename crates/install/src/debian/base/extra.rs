//! Packages on top of a base: what they add and change, as a layer of its own. The base's own files stay as they are.
//!
//! ```text
//! base (made again in memory, without bytecode) ─► unpack ─► effects of scripts ─► ld.so.cache ─► dpkg database
//!   └──────────────────────────────────────── what differs ◄──────────────────────────────────────────┘
//! ```

use std::collections::BTreeSet;

use corten_oci::LayerPath;

use super::{Base, BaseError, BaseOptions, DebFile, Making, NodeKind, Tree};
use crate::debian::Variant;
use crate::debian::dpkg;

/// How packages are added.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtraOptions<'a> {
    /// The packages that were asked for, by name.
    pub asked: &'a [String],
    /// Packages whose maintainer scripts may stay undone.
    pub unconfigured: &'a [String],
}

/// What `debs` add to a base, and what they change in it.
///
/// # Errors
/// As [`super::build_base`]; a package whose maintainer script would do something unknown is refused by name.
pub fn add_packages(
    base: Base,
    debs: &[DebFile],
    options: &BaseOptions<'_>,
    extra: &ExtraOptions<'_>,
) -> Result<Base, BaseError> {
    let before = base.tree.clone();
    let old: BTreeSet<String> = base.packages.iter().map(|package| package.control.package().to_owned()).collect();
    let seeds = [options.seeds, extra.asked].concat();
    let options = BaseOptions { seeds: &seeds, ..*options };
    let (tree, packages) = (base.tree, base.packages);
    let mut making = Making { tree, packages, options: &options, unconfigured: extra.unconfigured };
    if let Some(deb) = debs.iter().find(|deb| old.contains(&deb.name)) {
        return Err(BaseError::Twice(deb.name.clone()));
    }
    making.unpack(debs)?;
    making.packages.sort_by(|one, other| one.control.package().cmp(other.control.package()));
    making.run_extra_effects(&old)?;
    making.make_alternatives()?;
    making.write_library_cache()?;
    match options.variant {
        Variant::Slim => making.write_database()?,
        Variant::Distroless => making.write_new_status(&old)?,
    }
    making.tree.order_hard_links();
    making.check_extra()?;
    let packages = making.packages.into_iter().filter(|package| !old.contains(package.control.package())).collect();
    Ok(Base { tree: difference(&before, &making.tree), packages })
}

impl Making<'_> {
    /// Files of the new packages alone: those of the base lie below.
    fn write_new_status(&mut self, old: &BTreeSet<String>) -> Result<(), BaseError> {
        let files = dpkg::status_folder(&self.packages);
        for file in files {
            let package = file.package.and_then(|index| self.packages.get(index));
            if package.is_some_and(|package| old.contains(package.control.package())) {
                continue;
            }
            let purl = package.map(|package| package.purl.clone());
            let node = super::Node::new(NodeKind::File(file.content.into()), file.mode).of(purl.as_ref());
            self.put(&file.path, node)?;
        }
        Ok(())
    }

    /// What no layer may have. Links may dangle: not every package of Debian's is tidy.
    fn check_extra(&self) -> Result<(), BaseError> {
        for (path, node) in self.tree.iter() {
            let broken = |why: &str| BaseError::Invariant { path: path.clone(), why: why.to_owned() };
            if node.mode & 0o6000 != 0 {
                return Err(broken("is set-user-id or set-group-id"));
            }
            if let NodeKind::HardLink(target) = &node.kind
                && (self.tree.content(path).is_none() || target >= path)
            {
                return Err(broken("is a hard link to no file before it"));
            }
        }
        Ok(())
    }
}

/// What `after` has and `before` has not, with the folders that lead there and the files that it has hard links to.
fn difference(before: &Tree, after: &Tree) -> Tree {
    let mut wanted: BTreeSet<LayerPath> = BTreeSet::new();
    for (path, node) in after.iter().filter(|(path, node)| before.get(path) != Some(*node)) {
        wanted.extend(path.ancestors());
        if let NodeKind::HardLink(target) = &node.kind {
            wanted.extend(target.ancestors());
            wanted.insert(target.clone());
        }
        wanted.insert(path.clone());
    }
    after.only(&wanted)
}

#[cfg(test)]
mod tests;
