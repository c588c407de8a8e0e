//! What a registry asks of the store, repository by repository: tags, manifests that are there without one, and taking
//! names away.
//!
//! `images/<repository>/_manifests/<hex>` holds the digest of a manifest that was pushed to the repository. It is what
//! keeps an image that has no tag (any more), as registries do, until it is deleted there.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use corten_oci::{Digest, Reference, Repository, Tag};

use crate::{Store, StoreError, disk, names};

const HELD: &str = "_manifests";

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

    /// Repositories that have a tag or keep a manifest, sorted.
    pub fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        let mut found = Vec::new();
        self.walk_repositories(&self.folder("images"), &mut Vec::new(), &mut found)?;
        found.sort();
        Ok(found)
    }

    fn walk_repositories(
        &self,
        folder: &Path,
        components: &mut Vec<String>,
        found: &mut Vec<Repository>,
    ) -> Result<(), StoreError> {
        for name in names::names_in(folder)? {
            let path = folder.join(&name);
            if name.starts_with('_') || components.len() >= names::DEEPEST || !path.is_dir() {
                continue;
            }
            components.push(name);
            let has_any = |kind: &str| fs::read_dir(path.join(kind)).is_ok_and(|mut entries| entries.next().is_some());
            if has_any(names::TAGS) || has_any(HELD) {
                found.extend(components.join("/").parse());
            }
            self.walk_repositories(&path, components, found)?;
            components.pop();
        }
        Ok(())
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
