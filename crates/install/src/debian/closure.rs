//! Proves that every program and library of a base starts: each loader and each needed library is in the base.
//!
//! Dependencies between packages were cut, and files were left out; this check is what makes that safe. A library is
//! sought as the loader seeks it: `DT_RPATH` (unless there is a `DT_RUNPATH`), `DT_RUNPATH`, then the directories of
//! `ld.so.conf` and the trusted ones. `$ORIGIN` is the directory of the file; the `RPATH` of whoever loads a library
//! is not looked at, so nothing that this check accepts depends on it. Source: ld.so(8).

use corten_elf::{Dynamic, Elf, ElfError};
use corten_oci::{Architecture, LayerPath};

use super::base::{NodeKind, Tree};
use super::ldcache::{library_directories, machine};

/// A program or library that would not start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("/{file} {why}")]
pub struct Unresolved {
    /// The program or library.
    pub file: LayerPath,
    /// What is missing.
    pub why: String,
}

/// Everything that would not start, in the order of paths.
pub fn unresolved(tree: &Tree, architecture: Architecture) -> Vec<Unresolved> {
    let checker = Checker { tree, architecture, directories: library_directories(tree, architecture) };
    let mut missing = Vec::new();
    for (path, node) in tree.iter() {
        if let NodeKind::File(content) = &node.kind {
            checker.check(path, content, &mut missing);
        }
    }
    missing
}

struct Checker<'a> {
    tree: &'a Tree,
    architecture: Architecture,
    directories: Vec<String>,
}

impl Checker<'_> {
    fn check(&self, path: &LayerPath, content: &[u8], missing: &mut Vec<Unresolved>) {
        let mut report = |why: String| missing.push(Unresolved { file: path.clone(), why });
        let elf = match Elf::read(content) {
            Ok(elf) => elf,
            Err(ElfError::NotElf | ElfError::Unsupported) => return,
            Err(error) => return report(format!("is a broken ELF file: {error}")),
        };
        if elf.machine != machine(self.architecture) {
            return report(format!("is made for another processor ({:?})", elf.machine));
        }
        if let Some(loader) = elf.interpreter.filter(|loader| !self.is_library(&String::from_utf8_lossy(loader))) {
            report(format!("needs the loader {}, which is not in the image", String::from_utf8_lossy(loader)));
        }
        let Some(dynamic) = elf.dynamic else { return };
        for needed in &dynamic.needed {
            let needed = String::from_utf8_lossy(needed);
            if !self.is_found(path, &dynamic, &needed) {
                report(format!("needs the library {needed}, which is not in the image"));
            }
        }
    }

    fn is_found(&self, file: &LayerPath, dynamic: &Dynamic<'_>, needed: &str) -> bool {
        if needed.contains('/') {
            return self.is_library(needed);
        }
        let own = dynamic.runpath.or(dynamic.rpath).map(|paths| String::from_utf8_lossy(paths).into_owned());
        let own = own.unwrap_or_default();
        let own = own.split(':').filter(|path| !path.is_empty()).map(|path| expand(path, file, self.architecture));
        let mut directories = own.chain(self.directories.iter().cloned());
        directories.any(|directory| self.is_library(&format!("{directory}/{needed}")))
    }

    fn is_library(&self, path: &str) -> bool {
        // `..` is resolved as text: `$ORIGIN/../lib` of a path that has no links.
        let Some(path) = without_dots(path) else { return false };
        let elf = self.tree.read(path).map(|content| Elf::read(content).map(|elf| elf.machine));
        elf == Some(Ok(machine(self.architecture)))
    }
}

fn expand(path: &str, file: &LayerPath, architecture: Architecture) -> String {
    let origin = file.parent().unwrap_or_default();
    let triplet = format!("lib/{}", architecture.triplet());
    let mut path = path.to_owned();
    for (token, value) in
        [("ORIGIN", format!("/{origin}")), ("LIB", triplet), ("PLATFORM", architecture.machine().to_owned())]
    {
        path = path.replace(&format!("${{{token}}}"), &value).replace(&format!("${token}"), &value);
    }
    path
}

fn without_dots(path: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for name in path.strip_prefix('/')?.split('/') {
        match name {
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    Some(kept.join("/"))
}

#[cfg(test)]
#[path = "closure/tests.rs"]
mod tests;
