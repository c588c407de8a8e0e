//! What a registry asks of the store, repository by repository: tags, manifests that are there without one, and taking
//! names away.
//!
//! `images/<repository>/_manifests/<hex>` holds the digest of a manifest that was pushed to the repository. It is what
//! keeps an image that has no tag (any more), as registries do, until it is deleted there.
//!
//! `images/<repository>/_blobs/<hex>` is empty: a blob that was pushed there and that no manifest names yet. It keeps
//! nothing; but a registry that is started anew finds by it what its clients have sent already. So it is not synced.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use corten_oci::{Digest, Reference, Repository, Tag};

use crate::{Store, StoreError, disk, names};

const HELD: &str = "_manifests";
const UNNAMED: &str = "_blobs";

/// A blob that was pushed to a repository, and that no manifest of it names yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnamed {
    /// Where.
    pub repository: Repository,
    /// What.
    pub blob: Digest,
    /// How long it has been there; nothing where the store was opened without a time.
    pub age: Duration,
}

impl Store {
    /// Tags of a repository, in the order of their bytes.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, StoreError> {
        let names = names::names_in(&self.repository_folder(repository).join(names::TAGS))?;
        Ok(names.into_iter().filter_map(|name| Tag::new(name).ok()).collect())
    }

    /// Manifests that a repository keeps by their digests, sorted.
    pub fn held(&self, repository: &Repository) -> Result<Vec<Digest>, StoreError> {
        self.digests_in(&self.repository_folder(repository).join(HELD))
    }

    /// Does a repository keep a manifest by its digest?
    pub fn holds(&self, repository: &Repository, digest: &Digest) -> bool {
        self.held_path(repository, digest).is_file()
    }

    /// Repositories that have a tag or keep a manifest, sorted.
    pub fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        self.repositories_with(&[names::TAGS, HELD])
    }

    fn repositories_with(&self, kinds: &[&str]) -> Result<Vec<Repository>, StoreError> {
        let mut found = Vec::new();
        walk_repositories(&self.folder("images"), kinds, &mut Vec::new(), &mut found)?;
        found.sort();
        Ok(found)
    }

    /// Remembers that a blob was pushed to a repository. Where that cannot be written, it is pushed again one day.
    pub fn remember_unnamed(&self, repository: &Repository, blob: &Digest) {
        let path = self.repository_folder(repository).join(UNNAMED).join(blob.hex());
        if path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) {
            drop(fs::File::create(path));
        }
    }

    /// A manifest names it now, or nobody wants it any more.
    pub fn forget_unnamed(&self, repository: &Repository, blob: &Digest) {
        let folder = self.repository_folder(repository).join(UNNAMED);
        drop(fs::remove_file(folder.join(blob.hex())));
        // One that is not empty stays.
        drop(fs::remove_dir(folder));
    }

    /// Forgets those that are gone; empty folders of repositories as well, so this is for a sweep alone.
    pub(crate) fn forget_unnamed_that_are_gone(&self) -> Result<(), StoreError> {
        for Unnamed { repository, blob, .. } in self.unnamed()? {
            if self.size_now(&blob)?.is_none() {
                self.forget_unnamed(&repository, &blob);
                self.remove_empty(&self.repository_folder(&repository));
            }
        }
        Ok(())
    }

    /// Blobs that were pushed and that no manifest names yet, the oldest first.
    pub fn unnamed(&self) -> Result<Vec<Unnamed>, StoreError> {
        let mut found = Vec::new();
        for repository in self.repositories_with(&[UNNAMED])? {
            let folder = self.repository_folder(&repository).join(UNNAMED);
            for blob in self.digests_in(&folder)? {
                let pushed = fs::symlink_metadata(folder.join(blob.hex())).and_then(|found| found.modified());
                let pushed = pushed.unwrap_or(SystemTime::UNIX_EPOCH);
                let age = self.now.and_then(|now| now.duration_since(pushed).ok()).unwrap_or_default();
                found.push(Unnamed { repository: repository.clone(), blob, age });
            }
        }
        found.sort_by_key(|it| std::cmp::Reverse(it.age));
        Ok(found)
    }

    /// Is an artifact about `subject`?
    pub fn is_referrer(&self, subject: &Digest, referrer: &Digest) -> bool {
        self.referrers_folder(subject).join(referrer.hex()).is_file()
    }

    /// Digests of the artifacts whose subject is `subject`, sorted: [`Store::referrers`] without reading them.
    pub fn referrer_digests(&self, subject: &Digest) -> Result<Vec<Digest>, StoreError> {
        self.digests_in(&self.referrers_folder(subject))
    }

    fn digests_in(&self, folder: &Path) -> Result<Vec<Digest>, StoreError> {
        let names = names::names_in(folder)?;
        Ok(names.iter().filter_map(|name| names::digest_of_name(name.as_ref())).collect())
    }

    /// Takes a name away; false where nobody has it. What it named stays until it is collected.
    pub fn forget(&self, name: &Reference) -> Result<bool, StoreError> {
        self.take_away(&self.image_path(name))
    }

    /// A repository keeps a manifest no longer; false where it did not.
    pub fn release(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        self.take_away(&self.held_path(repository, digest))
    }

    /// An artifact is about `subject` no longer; false where it was not.
    pub fn forget_referrer(&self, subject: &Digest, referrer: &Digest) -> Result<bool, StoreError> {
        self.take_away(&self.referrers_folder(subject).join(referrer.hex()))
    }

    /// Removes a pointer, durably.
    fn take_away(&self, path: &Path) -> Result<bool, StoreError> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if disk::is_absent(&error) => return Ok(false),
            Err(error) => return Err(StoreError::disk("removing", path, 0, error)),
        }
        let mut changed = path.parent().map(Path::to_owned).into_iter().collect();
        disk::sync_folders(&mut changed).map(|()| true)
    }

    /// Opens a blob as [`Store::read`] does, for another thread; and its size in bytes.
    pub fn stream(&self, digest: &Digest) -> Result<(impl Read + Send + use<>, u64), StoreError> {
        let (file, size) = self.sized(digest)?;
        Ok((self.reader(file, size, digest), size))
    }

    pub(crate) fn held_path(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.repository_folder(repository).join(HELD).join(digest.hex())
    }

    fn repository_folder(&self, repository: &Repository) -> PathBuf {
        self.folder("images").join(repository.to_string())
    }
}

fn walk_repositories(
    folder: &Path,
    kinds: &[&str],
    components: &mut Vec<String>,
    found: &mut Vec<Repository>,
) -> Result<(), StoreError> {
    for name in names::names_in(folder)? {
        let path = folder.join(&name);
        if name.starts_with('_') || components.len() >= names::DEEPEST || !path.is_dir() {
            continue;
        }
        components.push(name);
        let has_any = |kind: &&str| fs::read_dir(path.join(kind)).is_ok_and(|mut entries| entries.next().is_some());
        if kinds.iter().any(has_any) {
            found.extend(components.join("/").parse());
        }
        walk_repositories(&path, kinds, components, found)?;
        components.pop();
    }
    Ok(())
}
