//! Which name lies where. Every name is made of a parsed type, so none can climb out of its folder.
//!
//! `images/<host>/<path>/_tags/<tag>`: a component of a repository never begins with `_`, so a tag and a repository
//! below the same path cannot meet.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use corten_oci::{DiffId, Digest, Reference, Repository, Tag};

use crate::store::Key;
use crate::{Store, StoreError, layout};

pub(crate) const TAGS: &str = "_tags";
/// As docker: what a reference means that says neither tag nor digest.
pub(crate) const DEFAULT_TAG: &str = "latest";
/// Repositories are at most 255 bytes long, so they have at most so many components, with the host.
pub(crate) const DEEPEST: usize = 130;

impl Store {
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn blobs_folder(&self) -> PathBuf {
        self.root().join("blobs").join("sha256")
    }

    pub(crate) fn index_path(&self, diff_id: &DiffId) -> PathBuf {
        self.folder("layers").join(diff_id.0.hex()).join("index")
    }

    pub(crate) fn record_path(&self, key: &Key) -> PathBuf {
        self.folder("cache").join(key.0.hex())
    }

    pub(crate) fn image_path(&self, reference: &Reference) -> PathBuf {
        let tag = reference.tag.as_ref().map_or(DEFAULT_TAG, Tag::as_str);
        self.folder("images").join(reference.repository.to_string()).join(TAGS).join(tag)
    }

    pub(crate) fn referrers_folder(&self, subject: &Digest) -> PathBuf {
        self.folder("referrers").join(subject.hex())
    }

    pub(crate) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.folder("downloads").join(format!("{}.partial", digest.hex()))
    }

    /// Every named image with the path of its pointer, sorted.
    pub(crate) fn image_paths(&self) -> Result<Vec<(Reference, PathBuf)>, StoreError> {
        let mut found = Vec::new();
        collect_images(&self.folder("images"), &mut Vec::new(), &mut found)?;
        found.sort();
        Ok(found)
    }

    /// The store's OCI layouts: of which repository each is, and its folder; sorted. One may lie below another, as
    /// `team/app` lies below `team`.
    pub(crate) fn layouts(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let mut found = Vec::new();
        collect_layouts(&self.folder("layouts"), &mut Vec::new(), &mut found)?;
        found.sort();
        Ok(found)
    }
}

fn collect_layouts(
    folder: &Path,
    components: &mut Vec<String>,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), StoreError> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        // A layout's blobs are many, and none is a folder.
        let are_blobs = path.ends_with(layout::BLOBS);
        if are_blobs || components.len() >= DEEPEST || !fs::symlink_metadata(&path).is_ok_and(|it| it.is_dir()) {
            continue;
        }
        components.push(name);
        if layout::is_there(&path) {
            found.push((components.join("/"), path.clone()));
        }
        collect_layouts(&path, components, found)?;
        components.pop();
    }
    Ok(())
}

fn collect_images(
    folder: &Path,
    components: &mut Vec<String>,
    found: &mut Vec<(Reference, PathBuf)>,
) -> Result<(), StoreError> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        if name == TAGS {
            let Ok(repository) = components.join("/").parse::<Repository>() else { continue };
            for name in names_in(&path)? {
                let Ok(tag) = Tag::new(name.as_str()) else { continue };
                let reference = Reference { repository: repository.clone(), tag: Some(tag), digest: None };
                found.push((reference, path.join(name)));
            }
        } else if components.len() < DEEPEST && path.is_dir() {
            components.push(name);
            collect_images(&path, components, found)?;
            components.pop();
        }
    }
    Ok(())
}

/// The names in a folder that are text, sorted; none where it is absent.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let read = || -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_str().map(str::to_owned)));
        let mut names = names.filter_map(Result::transpose).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    match read() {
        Err(error) if crate::disk::is_absent(&error) => Ok(Vec::new()),
        other => other.map_err(|error| StoreError::disk("listing", folder, 0, error)),
    }
}

/// The digest that a file name of 64 hexadecimal digits says.
pub(crate) fn digest_of_name(name: &OsStr) -> Option<Digest> {
    format!("sha256:{}", name.to_str()?).parse().ok()
}
