//! Taking away what is damaged, mending what the store itself knows how to, and saying what images lack then.
//!
//! | what is damaged | what is done |
//! |---|---|
//! | a blob | set aside: it counts as absent, and is fetched or made again |
//! | an index of a layer, a remembered result | removed: the next build makes it again |
//! | a name | given back by the layout of its repository, if that has the tag; else removed |
//! | an artifact's pointer | written anew from the artifact; else removed |
//! | a layout | written anew from the names of its repository, if the store has all of its images |
//! | the store's version | written anew |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use corten_diagnostic::Events;
use corten_oci::{Descriptor, Digest, Document, Index, Manifest, MediaType, Reference, Tag};

use crate::contents::{Contents, NAME, subject_of_name};
use crate::verify::{Problem, verify_blob};
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
            // Somebody may have made it again meanwhile.
            ["blobs", ..] if verify_blob(path, &|_| ()).is_ok() => Ok(None),
            ["blobs", ..] => self.set_aside(path).map(|()| Some("set aside: it is downloaded or made again")),
            // An index or a tree alone: of the other one more may be known than anybody else knows.
            ["layers" | "cache", ..] => self.set_aside(path).map(|()| Some("removed: the next build makes it again")),
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
        let told = self.as_referrer(&artifact, &bytes);
        let Some((_, told)) = told.filter(|(about, _)| about.is_some_and(|about| about == subject)) else {
            return Ok(Some("removed: the artifact is not about that image"));
        };
        let batch = self.batch();
        batch.referrer(&subject, &told)?;
        batch.finish()?;
        Ok(Some("written anew from its artifact"))
    }

    /// What an artifact is about, and as what its pointer shows it; none where it is no document.
    fn as_referrer(&self, artifact: &Digest, bytes: &[u8]) -> Option<(Option<Digest>, Descriptor)> {
        let described = self.describe(artifact, bytes).ok()?;
        let document = Document::parse(&described, bytes).ok()?;
        Some((document.subject().map(|subject| subject.digest), document.as_referrer(&described)))
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
        self.as_referrer(artifact, &bytes).is_some_and(|(_, told)| {
            let same_type = pointer.artifact_type == told.artifact_type || pointer.artifact_type.is_none();
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

    /// What images with names need and the store has not, name by name; what lies below a missing document, is not known
    /// yet. A layer that is known to be elsewhere counts only if it was set aside `now`.
    pub fn wanting(&self, now: &BTreeSet<Digest>) -> Result<Vec<Wanting>, StoreError> {
        let mut wanting = Vec::new();
        for (name, digest) in self.roots_that_can_be_read()? {
            let mut seen = BTreeSet::new();
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

    /// Writes layouts anew that are damaged, from the names of their repositories: which. One stays as it is as long as the
    /// store lacks anything of its images: it has the rest of them.
    pub fn mend_layouts(&self, problems: &[Problem]) -> Result<Vec<PathBuf>, StoreError> {
        let layouts = self.layouts()?;
        let of = |problem: &Problem| {
            let around = layouts.iter().filter(|(_, folder)| problem.path.starts_with(folder));
            around.max_by_key(|(_, folder)| folder.iter().count())
        };
        let damaged: BTreeSet<&(String, PathBuf)> = problems.iter().filter_map(of).collect();
        let names: Vec<_> = self.roots_that_can_be_read()?.into_iter().filter(|(name, _)| name.tag.is_some()).collect();
        let mut mended = Vec::new();
        for (repository, folder) in damaged {
            let of_it = names
                .iter()
                .filter(|(name, digest)| name.repository.to_string() == *repository && !self.is_local(digest));
            let mut images: BTreeMap<Reference, Digest> = of_it.cloned().collect();
            // It may have names that the store has lost; where it cannot be read, it may have any.
            let its_own: Option<BTreeSet<Reference>> = all_tagged(folder, repository).map(|all| {
                let tagged = all.into_iter().map(|(name, digest)| {
                    images.entry(name.clone()).or_insert(digest);
                    name
                });
                tagged.collect()
            });
            let lacking: Vec<Reference> = images
                .iter()
                .filter(|(name, digest)| !self.has_all(name, digest))
                .map(|(name, _)| name.clone())
                .collect();
            if lacking.iter().any(|name| its_own.as_ref().is_none_or(|own| own.contains(name))) {
                continue;
            }
            images.retain(|name, _| !lacking.contains(name));
            layout::own(folder).iter().try_for_each(|part| self.set_aside(part))?;
            for (name, digest) in &images {
                layout::export(self, digest, std::slice::from_ref(name), folder)?;
            }
            mended.push(folder.clone());
        }
        Ok(mended)
    }

    /// Was the image built here and not packed yet? No layout has it.
    fn is_local(&self, digest: &Digest) -> bool {
        let is_document = |bytes: &[u8]| Manifest::parse(bytes).is_ok() || Index::parse(bytes).is_ok();
        self.document(digest).is_some_and(|bytes| !is_document(&bytes))
    }

    /// Is everything there that a layout of the image has?
    fn has_all(&self, name: &Reference, digest: &Digest) -> bool {
        let is_there = |blob: &Descriptor| self.size(&blob.digest).is_ok_and(|size| size == Some(blob.size));
        Contents::of(self, digest, std::slice::from_ref(name)).is_ok_and(|contents| contents.blobs.iter().all(is_there))
    }
}

/// What [`Store::verify`] lets be elsewhere.
fn is_layer(blob: &Descriptor) -> bool {
    !crate::contents::is_image_config(&blob.media_type)
}

/// What a layout has under a tag.
fn tagged(layout: &Path, name: &Reference) -> Option<Digest> {
    let all = all_tagged(layout, &name.repository.to_string())?;
    all.into_iter().find(|(found, _)| found.tag == name.tag).map(|(_, digest)| digest)
}

/// What the layout of a repository has by name; none where its index cannot be read.
fn all_tagged(layout: &Path, repository: &str) -> Option<Vec<(Reference, Digest)>> {
    let entries = layout::read_index(layout).ok()??.manifests;
    let name = |entry: &Descriptor| {
        let tag = entry.annotations.get(NAME).filter(|name| subject_of_name(name).is_none())?;
        let name = Reference { repository: repository.parse().ok()?, tag: Some(Tag::new(tag).ok()?), digest: None };
        Some((name, entry.digest))
    };
    Some(entries.iter().filter_map(name).collect())
}
