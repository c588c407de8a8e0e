//! The files of a project: which enter the image, which stay out and why, and their digests.
//!
//! Weights are matched first, so no ignore rule can lose them; then `.dockerignore`, the settings' patterns and the
//! groups for machine-learning projects. Links are kept as links and never followed.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_frontend::ignore::{Fate, Ignore};
use corten_oci::{Digest, Digester};
use corten_plan::SourceFile;
use corten_store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};

/// A path of the project.
#[derive(Debug, Clone)]
pub struct Found {
    /// Below the project, `/`-separated.
    pub path: String,
    /// What lies there.
    pub metadata: Metadata,
}

/// What was found in a project.
#[derive(Debug, Default)]
pub struct Context {
    /// Files of the app layer, sorted by path.
    pub app: Vec<Found>,
    /// Files of the layer of weights, sorted by path.
    pub weights: Vec<Found>,
    /// What stayed out.
    pub outside: Outside,
}

/// What stays out of an image. Only a plan for people wants to know how much that is: a build never looks into `.venv`.
#[derive(Debug, Default)]
pub struct Outside {
    /// Files that were met, by reason.
    files: BTreeMap<String, Ignored>,
    /// Folders that were not entered, with the reason.
    folders: Vec<(PathBuf, String)>,
}

impl Outside {
    /// Everything that stays out, by reason; counts what lies in folders that were not entered.
    pub fn count(&self) -> Result<BTreeMap<String, Ignored>, Failure> {
        let mut ignored = self.files.clone();
        for (folder, why) in &self.folders {
            let counted = count(folder)?;
            if counted.files > 0 {
                let ignored = ignored.entry(why.clone()).or_default();
                ignored.files += counted.files;
                ignored.bytes = ignored.bytes.saturating_add(counted.bytes);
            }
        }
        Ok(ignored)
    }

    /// Folders that were not entered, with the reason.
    pub fn folders(&self) -> &[(PathBuf, String)] {
        &self.folders
    }

    fn note(&mut self, why: &str, bytes: u64) {
        let ignored = self.files.entry(why.to_owned()).or_default();
        ignored.files += 1;
        ignored.bytes = ignored.bytes.saturating_add(bytes);
    }
}

/// Files that stayed out for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Walks a project.
pub fn walk(project: &Path, rules: &Ignore) -> Result<Context, Failure> {
    let mut context = Context::default();
    walk_folder(project, "", rules, &mut context)?;
    Ok(context)
}

fn walk_folder(project: &Path, folder: &str, rules: &Ignore, context: &mut Context) -> Result<(), Failure> {
    for (name, metadata) in sorted(&project.join(folder))? {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if metadata.is_dir() {
            match rules.prunes(&path) {
                Some(group) => context.outside.folders.push((project.join(&path), group.name.clone())),
                None => walk_folder(project, &path, rules, context)?,
            }
            continue;
        }
        match rules.fate(&path) {
            Fate::Ignored(group) => context.outside.note(&group.name, metadata.len()),
            // Sockets, pipes and devices are no part of an image.
            _ if !metadata.is_file() && !metadata.is_symlink() => context.outside.note("no regular files", 0),
            Fate::Weight => context.weights.push(Found { path, metadata }),
            Fate::App => context.app.push(Found { path, metadata }),
        }
    }
    Ok(())
}

/// Counts what lies below an ignored folder.
pub fn count(folder: &Path) -> Result<Ignored, Failure> {
    let mut counted = Ignored::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for (name, metadata) in sorted(&folder)? {
            if metadata.is_dir() {
                folders.push(folder.join(name));
            } else {
                counted.files += 1;
                counted.bytes = counted.bytes.saturating_add(metadata.len());
            }
        }
    }
    Ok(counted)
}

fn sorted(folder: &Path) -> Result<Vec<(String, Metadata)>, Failure> {
    let unreadable = |error: io::Error| Failure::world(format!("reading folder {}: {error}", folder.display()));
    let mut entries = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let name = entry.file_name().into_string().map_err(|name| {
            Failure::input(format!("the name {name:?} in {} is not UTF-8 text", folder.display()))
                .hint("rename it, or ignore its folder in .dockerignore")
        })?;
        entries.push((name, metadata));
    }
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(entries)
}

/// From this size on, a file's digest is remembered by its inode and times; smaller ones are hashed each time.
const REMEMBERED: u64 = 64 * 1024;

/// Digests of a project's large files, as they were when last hashed.
#[derive(Default, Serialize, Deserialize)]
pub struct Hashes {
    known: BTreeMap<String, Known>,
    #[serde(skip)]
    fresh: bool,
}

#[derive(Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: Digest,
}

/// Changes whenever the content does: nobody can set the change time.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Stamp(u64, u64, u64, i64, i64, i64, i64);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self(
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        )
    }
}

impl Hashes {
    /// What the store remembers of a project.
    pub fn load(store: &Store, project: &Path) -> Result<Self, StoreError> {
        let record = store.record(&Self::key(project))?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Remembers what was hashed since [`Hashes::load`].
    pub fn save(&self, store: &Store, project: &Path) -> Result<(), StoreError> {
        if !self.fresh {
            return Ok(());
        }
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let batch = store.batch();
        batch.record(&Self::key(project), &bytes)?;
        batch.finish()
    }

    fn key(project: &Path) -> Key {
        let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
        Key(Digest::of(format!("hashes of {}", project.display())))
    }

    /// A found file as the plan has it, at `target` in the image.
    pub fn source_file(
        &mut self,
        project: &Path,
        found: &Found,
        target: String,
        now: i64,
    ) -> Result<SourceFile, Failure> {
        let source = project.join(&found.path);
        if found.metadata.is_symlink() {
            return link(source, target);
        }
        let digest = self.digest(&source, found, now)?;
        let mode = if found.metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        Ok(SourceFile { path: target, source, mode, size: found.metadata.len(), digest, link: None })
    }

    fn digest(&mut self, source: &Path, found: &Found, now: i64) -> Result<Digest, Failure> {
        let stamp = Stamp::of(&found.metadata);
        let known = self.known.get(&found.path).filter(|known| known.stamp == stamp);
        if let Some(known) = known {
            return Ok(known.digest);
        }
        let digest = hash(source)?;
        // A file written in this very moment could change again without its times changing.
        if found.metadata.len() >= REMEMBERED && found.metadata.ctime() < now - 2 {
            self.known.insert(found.path.clone(), Known { stamp, digest });
            self.fresh = true;
        }
        Ok(digest)
    }
}

fn hash(source: &Path) -> Result<Digest, Failure> {
    let read = |error: io::Error| Failure::world(format!("reading {}: {error}", source.display()));
    let mut digester = Digester::new();
    io::copy(&mut std::fs::File::open(source).map_err(read)?, &mut digester).map_err(read)?;
    Ok(digester.finish())
}

/// A link is kept as it is; where it leads is only known in the image.
fn link(source: PathBuf, target: String) -> Result<SourceFile, Failure> {
    let to = std::fs::read_link(&source)
        .map_err(|error| Failure::world(format!("reading link {}: {error}", source.display())))?;
    let to = to.into_os_string().into_string().map_err(|to| {
        Failure::input(format!("the link {} leads to {to:?}, which is not UTF-8 text", source.display()))
    })?;
    Ok(SourceFile { path: target, source, mode: 0o777, size: 0, digest: Digest::of([]), link: Some(to) })
}

#[cfg(test)]
mod tests {
    use corten_frontend::settings::{Settings, Texts};

    use super::*;

    #[test]
    fn a_folder_that_stays_out_is_entered_only_to_be_counted() {
        let project = tempfile::tempdir().unwrap();
        let library = project.path().join(".venv/lib");
        std::fs::create_dir_all(&library).unwrap();
        std::fs::write(library.join("a.py"), "12345").unwrap();
        std::fs::write(project.path().join(".venv/b.py"), "67").unwrap();
        std::fs::write(project.path().join("main.py"), "").unwrap();
        let texts = Texts { corten: None, pyproject: None, folder: "app".to_owned() };
        let rules = Ignore::new(&Settings::read(&texts).unwrap(), None).unwrap();

        let context = walk(project.path(), &rules).unwrap();
        let app: Vec<_> = context.app.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(app, ["main.py"]);
        assert!(context.outside.files.is_empty(), "nothing below .venv was met");
        let counted: Vec<_> = context.outside.count().unwrap().into_values().collect();
        assert_eq!(counted, [Ignored { files: 2, bytes: 7 }]);
    }
}
