//! `requirements.txt` as pip reads it. With a pin and SHA-256 hashes on every line it is a lock. With pins and no hash at
//! all it is taken, too, but whoever reads it must record the hashes ([`Files::AskIndex`]). Else it is refused with the
//! lines that are loose: one hash makes pip demand one of each line.

mod item;
mod lines;

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};
use corten_oci::Digest;
use corten_package::marker::{self, Environment};
use corten_package::pep440::{Specifiers, Version};
use corten_package::{PackageName, Source};

use super::resolved::{FileText, locked_file};
use super::{Asked, Files, LocalProject, LockKind, LockText, LockedFrom, Manifest, Resolved, Wanted};
use item::{Item, Of};
use lines::{Document, Entry, logical_lines};

/// Names at most so many packages in one message.
const NAMED: usize = 8;

/// The files that `-r` and `-c` lines of `lock` (and of what it already includes) name and `lock.included` lacks,
/// relative to the folder of the lock.
pub fn includes(lock: &LockText) -> Vec<String> {
    let mut missing = Vec::new();
    if lock.kind != LockKind::Requirements {
        return missing;
    }
    let texts = std::iter::once(("", &lock.text)).chain(lock.included.iter().map(|(path, text)| (path.as_str(), text)));
    for (path, text) in texts {
        for line in logical_lines(text) {
            if let Ok(Entry::Include { file, .. }) = lines::entry(&line.text) {
                let file = beside(path, &file);
                if !missing.contains(&file) && !lock.included.iter().any(|(known, _)| *known == file) {
                    missing.push(file);
                }
            }
        }
    }
    missing
}

/// `file` as it is meant in `path`, whose folder it is relative to.
fn beside(path: &str, file: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !file.starts_with('/') => format!("{folder}/{file}"),
        _ => file.strip_prefix("./").unwrap_or(file).to_owned(),
    }
}

/// See [`super::read`].
pub(super) fn read(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    refuse_choices(lock, asked)?;
    let mut reader = Reader::of(lock)?;
    let asked = marker::Asked::default();
    let taken = |item: &Item| item.marker.as_ref().is_none_or(|marker| marker.evaluate(environment, &asked));
    reader.items.retain(taken);
    reader.constraints.retain(taken);
    reader.check_pins()?;
    reader.resolve(manifest)
}

/// See [`super::refuse_broken`]. What is for some targets only may be loose: it may not matter.
pub(super) fn refuse_broken(lock: &LockText) -> Result<(), Failure> {
    let mut reader = Reader::of(lock)?;
    reader.items.retain(|item| item.marker.is_none());
    reader.check_pins()
}

fn refuse_choices(lock: &LockText, asked: &Asked) -> Result<(), Failure> {
    let what = [
        ("extra", asked.extras.first()),
        ("dependency group", asked.groups.first()),
        ("member", asked.package.as_ref()),
    ];
    match what.iter().find_map(|(what, name)| name.map(|name| (what, name))) {
        Some((what, name)) => {
            Err(Failure::usage(format!("{}: requirements know no {what} '{name}'", lock.path.display())))
        }
        None => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Requirements,
    Constraints,
}

#[derive(Default)]
struct Settings {
    index: Option<String>,
    extra: Vec<String>,
    require_hashes: bool,
    warnings: Vec<String>,
}

struct Reader<'a> {
    lock: &'a LockText,
    items: Vec<Item>,
    constraints: Vec<Item>,
    settings: Settings,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// All lines of a lock and of what it includes.
    fn of(lock: &'a LockText) -> Result<Self, Failure> {
        let mut reader =
            Self { lock, items: Vec::new(), constraints: Vec::new(), settings: Settings::default(), depth: 0 };
        reader.read("", &Document { path: lock.path.clone(), text: Arc::clone(&lock.text) }, Role::Requirements)?;
        Ok(reader)
    }

    fn read(&mut self, path: &str, document: &Document, role: Role) -> Result<(), Failure> {
        for line in logical_lines(&document.text) {
            let at = document.span(line.range.clone());
            let fail = |reason: String| {
                Failure::input(format!("{}: {reason}", document.path.display())).at(document.span(line.range.clone()))
            };
            match lines::entry(&line.text).map_err(fail)? {
                Entry::Nothing => {}
                Entry::Index(url) => self.settings.index = Some(url),
                Entry::ExtraIndex(url) => self.settings.extra.push(url),
                Entry::RequireHashes => self.settings.require_hashes = true,
                Entry::Ignored(option) => {
                    self.settings.warnings.push(format!("{at}: the option {option} is not followed"));
                }
                Entry::Include { file, constraints } => {
                    let role = if constraints { Role::Constraints } else { role };
                    self.include(&beside(path, &file), role, at)?;
                }
                Entry::Editable(text) => self.items.push(item::editable(&text, at).map_err(fail)?),
                Entry::Requirement { text, hashes } => {
                    let item = item::requirement(&text, hashes, at).map_err(fail)?;
                    if role == Role::Constraints { self.constraints.push(item) } else { self.items.push(item) }
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, file: &str, role: Role, at: Span) -> Result<(), Failure> {
        let Some((_, text)) = self.lock.included.iter().find(|(known, _)| known == file) else {
            return Err(self.lock.failure(format!("the included file '{file}' cannot be read")).at(at));
        };
        if self.depth >= 16 {
            return Err(self.lock.failure(format!("'{file}' includes itself, or files are nested too deep")).at(at));
        }
        self.depth += 1;
        let folder = self.lock.path.parent().unwrap_or(std::path::Path::new(""));
        let document = Document { path: folder.join(file), text: Arc::clone(text) };
        self.read(file, &document, role)?;
        self.depth -= 1;
        Ok(())
    }

    /// Is no line hashed, and need none be?
    fn is_bare(&self) -> bool {
        !self.settings.require_hashes && self.items.iter().all(|item| item.hashes.is_empty())
    }

    /// Every line must name one version, and a hash if one of them does.
    fn check_pins(&self) -> Result<(), Failure> {
        let loose: Vec<_> = self.items.iter().filter(|item| item.is_loose()).collect();
        let bare: Vec<_> = self.items.iter().filter(|item| item.lacks_hash() && !self.is_bare()).collect();
        let message = |what: &str, items: &[&Item]| {
            let names: Vec<_> = items.iter().take(NAMED).map(|item| item.name.as_str()).collect();
            let more = if items.len() > NAMED { format!(" and {} more", items.len() - NAMED) } else { String::new() };
            format!("requirements {what}: {}{more}", names.join(", "))
        };
        let (first, message) = match (loose.first(), bare.first()) {
            (Some(first), _) => (*first, message("not pinned to a version ('==')", &loose)),
            (None, Some(first)) => (*first, message("without a hash", &bare)),
            (None, None) => return Ok(()),
        };
        let lock = self.lock.path.display();
        Err(self.lock.failure(message).at(first.at.clone()).hint(format!(
            "`corten lock` makes pylock.toml of them; or `uv pip compile --generate-hashes {lock} -o requirements.lock.txt`"
        )))
    }

    fn resolve(self, manifest: Option<&Manifest>) -> Result<Resolved, Failure> {
        let mut resolved = Resolved { python_hint: lines::python_hint(&self.lock.text), ..Resolved::default() };
        let mut wanted: BTreeMap<PackageName, Wanted> = BTreeMap::new();
        for item in &self.items {
            if let Of::Folder(path) = &item.of {
                let name = manifest.filter(|_| path == ".").and_then(Manifest::name).unwrap_or(&item.name).clone();
                let at = Some(item.at.clone());
                resolved.local.push(LocalProject { name, path: path.clone(), package: true, at });
                continue;
            }
            let one = self.wanted(item)?;
            match wanted.get_mut(&item.name) {
                Some(other) => self.join(other, one)?,
                None => {
                    wanted.insert(item.name.clone(), one);
                }
            }
        }
        self.check_constraints(&wanted)?;
        resolved.wanted = wanted.into_values().collect();
        if self.is_bare() && !resolved.wanted.is_empty() {
            let lock = self.lock.path.display();
            resolved
                .warnings
                .push(format!("{lock}: it names no hashes: those of the files that are taken are recorded"));
        }
        resolved.warnings.extend(self.settings.warnings);
        Ok(resolved)
    }

    fn wanted(&self, item: &Item) -> Result<Wanted, Failure> {
        let hashes: Vec<Digest> =
            item.hashes.iter().filter_map(|hash| hash.to_ascii_lowercase().parse().ok()).collect();
        if hashes.is_empty() && !item.hashes.is_empty() {
            let what = format!("'{}' has no SHA-256 hash, and others are not checked", item.name);
            return Err(self.lock.failure(what).at(item.at.clone()));
        }
        let hash = hashes.first().map(Digest::to_string);
        let file = |url: &str| locked_file(&FileText { url, name: None, hash: hash.as_deref(), size: None });
        let (files, from, index) = match &item.of {
            Of::Versions(_) => {
                let (index, extra) = (self.settings.index.clone(), self.settings.extra.clone());
                let hashes = (!hashes.is_empty()).then_some(hashes);
                (Files::AskIndex { index: index.clone(), extra, hashes }, LockedFrom::Registry, index)
            }
            Of::Git(source) => (Files::Known(Vec::new()), LockedFrom::Git(source.clone()), None),
            Of::Url(url) => (Files::Known(file(url).into_iter().collect()), LockedFrom::Url(url.clone()), None),
            Of::File(path) | Of::Folder(path) => {
                (Files::Known(file(path).into_iter().collect()), LockedFrom::File(path.clone()), None)
            }
        };
        let version = item.version();
        Ok(Wanted { name: item.name.clone(), version, files, index, from, at: item.at.clone() })
    }

    /// One name on two lines, for instance with different extras: the same version, all hashes.
    fn join(&self, other: &mut Wanted, one: Wanted) -> Result<(), Failure> {
        if other.version != one.version || other.from != one.from {
            let text = |wanted: &Wanted| wanted.version.as_ref().map_or("a URL".to_owned(), Version::to_string);
            let what = format!("two lines for '{}' apply at once: {} and {}", one.name, text(other), text(&one));
            return Err(self
                .lock
                .failure(what)
                .at(one.at)
                .hint("keep one of them, or give them markers that exclude each other"));
        }
        if let (Files::AskIndex { hashes, .. }, Files::AskIndex { hashes: Some(more), .. }) =
            (&mut other.files, one.files)
        {
            hashes.get_or_insert_default().extend(more);
        }
        Ok(())
    }

    fn check_constraints(&self, wanted: &BTreeMap<PackageName, Wanted>) -> Result<(), Failure> {
        for constraint in &self.constraints {
            let Of::Versions(specifiers) = &constraint.of else { continue };
            let version = wanted.get(&constraint.name).and_then(|wanted| wanted.version.as_ref());
            if let Some(version) = version.filter(|version| !specifiers.contains_prerelease(version)) {
                let what = format!("'{}' is pinned to {version}, but its constraint is {specifiers}", constraint.name);
                return Err(self.lock.failure(what).at(constraint.at.clone()));
            }
        }
        Ok(())
    }
}

/// The Python that a comment on top tells of.
pub(super) fn python_hint(lock: &LockText) -> Option<String> {
    lines::python_hint(&lock.text)
}

/// For [`super::in_step`]: the versions that are pinned, markers aside.
pub(super) fn pins(lock: &LockText) -> Vec<(PackageName, Version)> {
    let lines = logical_lines(&lock.text);
    let items = lines.iter().filter_map(|line| match lines::entry(&line.text) {
        Ok(Entry::Requirement { text, hashes }) => item::requirement(&text, hashes, lock.span(line.range.clone())).ok(),
        _ => None,
    });
    items.filter_map(|item| Some((item.name.clone(), item.version()?))).collect()
}

/// What a requirement's versions are, or where it is from.
fn source_of(source: Source) -> Result<Specifiers, String> {
    match source {
        Source::Versions(specifiers) => Ok(specifiers),
        Source::Url(url) => Err(url),
    }
}

#[cfg(test)]
mod tests;
