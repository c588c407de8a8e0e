//! Taking away what is damaged, mending what the store itself knows how to, and saying what images lack then.
//!
//! | what is damaged | what is done |
//! |---|---|
//! | a blob | set aside: it counts as absent, and is fetched or made again |
//! | an index of a layer, a remembered result | removed: the next build makes it again |
//! | a name | given back by the layout of its repository, if that has the tag; else removed |
//! | an artifact's pointer | written anew from the artifact; else removed |
//! | a layout | written anew from the names of its repository |
//! | the store's version | written anew |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use corten_diagnostic::Events;
use corten_oci::{Descriptor, Digest, Index, Manifest, MediaType, Reference};

use crate::contents::NAME;
use crate::verify::Problem;
use crate::{Store, StoreError, disk, format, layout, names};

/// A blob that an image needs and the store has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanting {
    /// A name of the image.
    pub name: Reference,
    /// What is missing; of a document that names point to, the size is not known (0).
    pub blob: Descriptor,
    /// Is it a manifest or an index?
    pub is_document: bool,
}

impl Store {
    /// Takes away what is damaged, and mends what can be mended without a network: what was done, and to what.
    pub fn mend(&self, events: &dyn Events) -> Result<Vec<Problem>, StoreError> {
        let mut done = Vec::new();
        for Problem { path, .. } in self.verify(events)? {
            if let Some(why) = self.mend_one(&path)? {
                done.push(Problem { path, why: why.to_owned() });
            }
        }
        Ok(done)
    }

    fn mend_one(&self, path: &Path) -> Result<Option<&'static str>, StoreError> {
        let Ok(below) = path.strip_prefix(self.root()) else { return Ok(None) };
        let words: Vec<String> = below.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["blobs", ..] => self.set_aside(path).map(|()| Some("set aside: it is downloaded or made again")),
            ["layers", folder, ..] => self
                .set_aside(&self.folder("layers").join(folder))
                .map(|()| Some("removed: the next build makes it again")),
            ["cache", ..] => self.set_aside(path).map(|()| Some("removed: the next build makes it again")),
            ["referrers", subject, artifact] => self.mend_referrer(path, subject, artifact),
            ["images", ..] => self.mend_name(path),
            [format::FILE] => {
                self.set_aside(path)?;
                disk::sync_folders(&mut vec![format::write_anew(self.root())?]).map(|()| Some("written anew"))
            }
            _ => Ok(None),
        }
    }

    /// Moves a file, or whatever lies in its place, into the trash.
    fn set_aside(&self, path: &Path) -> Result<(), StoreError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for number in 0_u32..1000 {
            let to = self.folder("trash").join(format!("damaged-{name}-{number}"));
            match disk::rename_without_replace(path, &to) {
                Ok(disk::Renamed::New) => return Ok(()),
                Ok(disk::Renamed::Taken) => {}
                Err(error) if disk::is_absent(&error) => return Ok(()),
                Err(error) => return Err(StoreError::disk("setting aside", path, 0, error)),
            }
        }
        Err(StoreError::damaged(&self.folder("trash"), "it is full of damaged files: `corten prune` empties it"))
    }

    /// None where the pointer is right, and what it points to is not.
    fn mend_referrer(&self, path: &Path, subject: &str, artifact: &str) -> Result<Option<&'static str>, StoreError> {
        let digest = |name: &str| names::digest_of_name(name.as_ref());
        let (Some(subject), Some(artifact)) = (digest(subject), digest(artifact)) else {
            return self.set_aside(path).map(|()| Some("removed: it is no artifact's"));
        };
        if self.pointer_is_right(&subject, &artifact) {
            return Ok(None);
        }
        self.set_aside(path)?;
        let Some(bytes) = self.document(&artifact) else { return Ok(Some("removed: its artifact is not there")) };
        let is_about =
            Manifest::parse(&bytes).is_ok_and(|manifest| manifest.subject.is_some_and(|it| it.digest == subject));
        if !is_about {
            return Ok(Some("removed: the artifact is not about that image"));
        }
        let batch = self.batch();
        batch.referrer(&subject, &self.describe(&artifact, &bytes)?)?;
        batch.finish()?;
        Ok(Some("written anew from its artifact"))
    }

    /// Does the pointer say of the artifact what that says of itself? So too where the artifact is not there.
    pub(crate) fn pointer_is_right(&self, subject: &Digest, artifact: &Digest) -> bool {
        let path = self.referrers_folder(subject).join(artifact.hex());
        let bytes = disk::read_small(&path, crate::pointer::LARGEST).ok().flatten();
        let Some(pointer) = bytes.and_then(|bytes| crate::pointer::decode_referrer(&bytes)) else { return false };
        if pointer.digest != *artifact {
            return false;
        }
        let Some(bytes) = self.document(artifact) else { return true };
        let told = self.describe(artifact, &bytes).ok();
        let of_config = Manifest::parse(&bytes).ok().map(|manifest| manifest.config.media_type);
        told.is_some_and(|told| {
            let by_config = told.artifact_type.is_none() && pointer.artifact_type == of_config;
            let same_type = pointer.artifact_type == told.artifact_type || by_config || pointer.artifact_type.is_none();
            same_type && pointer.media_type == told.media_type && pointer.size == told.size
        })
    }

    /// None where the name is right, and what it points to is not.
    fn mend_name(&self, path: &Path) -> Result<Option<&'static str>, StoreError> {
        if self.pointed(path).is_ok_and(|found| found.is_some_and(|digest| self.document(&digest).is_some())) {
            return Ok(None);
        }
        let torn = self.pointed(path).is_err();
        let Some((name, _)) = self.image_paths()?.into_iter().find(|(_, found)| found == path) else {
            return match torn {
                true => self.set_aside(path).map(|()| Some("removed: what it kept is pushed again")),
                false => Ok(None),
            };
        };
        let known = self.layout_of(&name).and_then(|layout| tagged(&layout, &name));
        let Some(digest) = known.filter(|digest| self.document(digest).is_some()) else {
            return match torn {
                true => self.set_aside(path).map(|()| Some("removed: nobody knows what it stood for")),
                // What it says may be right: the image may come back.
                false => Ok(None),
            };
        };
        self.set_aside(path)?;
        let batch = self.batch();
        batch.image(&name, &digest)?;
        batch.finish()?;
        Ok(Some("given back by its layout"))
    }

    fn layout_of(&self, name: &Reference) -> Option<PathBuf> {
        let folder = self.folder("layouts").join(name.repository.to_string());
        folder.is_dir().then_some(folder)
    }

    /// A document with the right bytes.
    fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = disk::read_small(&self.blob_path(digest), corten_oci::LARGEST_DOCUMENT).ok()??;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// What images with names need and the store has not; what lies below a missing document, is not known yet. A layer
    /// that is known to be elsewhere counts only if it was set aside `now`.
    pub fn wanting(&self, now: &BTreeSet<Digest>) -> Result<Vec<Wanting>, StoreError> {
        let (mut wanting, mut seen) = (Vec::new(), BTreeSet::new());
        for (name, digest) in self.roots_that_can_be_read()? {
            let mut next = vec![Descriptor::new(MediaType::MANIFEST, digest, 0)];
            while let Some(blob) = next.pop() {
                if !seen.insert(blob.digest) {
                    continue;
                }
                match self.document(&blob.digest) {
                    Some(bytes) => {
                        let below = self.below(&blob, &bytes, &mut next)?;
                        let missing = below.into_iter().filter(|blob| {
                            let is_absent = self.size_now(&blob.digest).is_ok_and(|size| size.is_none());
                            // One that is at a registry is had from there when it is needed.
                            let is_there = self.origins(&blob.digest).is_ok_and(|origins| !origins.is_empty());
                            seen.insert(blob.digest)
                                && is_absent
                                && !(is_there && is_layer(blob) && !now.contains(&blob.digest))
                        });
                        wanting.extend(missing.map(|blob| Wanting { name: name.clone(), blob, is_document: false }));
                    }
                    None => wanting.push(Wanting { name: name.clone(), blob, is_document: true }),
                }
            }
        }
        Ok(wanting)
    }

    /// Documents below a document, and what hangs on it, go to `next`; other blobs are given back.
    fn below(
        &self,
        document: &Descriptor,
        bytes: &[u8],
        next: &mut Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>, StoreError> {
        next.extend(self.referrers(&document.digest)?);
        if let Ok(index) = Index::parse(bytes) {
            next.extend(index.manifests);
            return Ok(Vec::new());
        }
        let Ok(manifest) = Manifest::parse(bytes) else { return Ok(Vec::new()) };
        Ok(manifest.layers.into_iter().chain([manifest.config]).collect())
    }

    /// Writes layouts anew that are damaged, from the names of their repositories: which.
    pub fn mend_layouts(&self, problems: &[Problem]) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.folder("layouts");
        let damaged: BTreeSet<String> = problems
            .iter()
            .filter_map(|problem| problem.path.strip_prefix(&folder).ok()?.iter().next()?.to_str().map(str::to_owned))
            .collect();
        let mut by_repository: BTreeMap<String, Vec<(Reference, Digest)>> = BTreeMap::new();
        for (name, digest) in self.roots_that_can_be_read()?.into_iter().filter(|(name, _)| name.tag.is_some()) {
            by_repository.entry(name.repository.to_string()).or_default().push((name, digest));
        }
        for name in &damaged {
            self.set_aside(&folder.join(name))?;
            for (reference, digest) in by_repository.get(name).into_iter().flatten() {
                layout::export(self, digest, std::slice::from_ref(reference), &folder.join(name))?;
            }
        }
        Ok(damaged.into_iter().map(|name| folder.join(name)).collect())
    }
}

/// What [`Store::verify`] lets be elsewhere.
fn is_layer(blob: &Descriptor) -> bool {
    !crate::contents::is_image_config(&blob.media_type)
}

/// What a layout has under a tag.
fn tagged(layout: &Path, name: &Reference) -> Option<Digest> {
    let index = layout::read_index(layout).ok()??;
    let tag = name.tag.as_ref()?.as_str();
    index
        .manifests
        .iter()
        .find(|entry| entry.annotations.get(NAME).is_some_and(|name| name.as_str() == tag))
        .map(|it| it.digest)
}
