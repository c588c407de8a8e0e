//! Everything that a manifest or index needs: the documents below it, and the blobs that these name.
//!
//! Documents come from outside: their sizes, number and depth are bounded, and a circle of indexes ends, because each
//! digest is visited once.

use std::collections::BTreeSet;

use crate::{Descriptor, Digest, Index, Manifest, MediaType};

/// Registries take manifests of at least 4 MiB (distribution specification); nobody needs more.
pub const LARGEST_DOCUMENT: u64 = 4 << 20;
const DEEPEST: usize = 8;
const MOST: usize = 10_000;

/// A manifest or an index.
#[derive(Debug, Clone)]
pub enum Document {
    /// Of one image, or an artifact.
    Manifest(Box<Manifest>),
    /// Of several.
    Index(Box<Index>),
}

impl Document {
    /// Does the media type say that it is one?
    pub fn is_document(media_type: &MediaType) -> bool {
        Self::is_manifest(media_type) || Self::is_index(media_type)
    }

    fn is_manifest(media_type: &MediaType) -> bool {
        media_type.is(MediaType::MANIFEST) || media_type.is(MediaType::DOCKER_MANIFEST)
    }

    fn is_index(media_type: &MediaType) -> bool {
        media_type.is(MediaType::INDEX) || media_type.is(MediaType::DOCKER_INDEX)
    }

    /// Reads a document as what its descriptor says it is; its own `mediaType`, if any, must agree.
    pub fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<Self, String> {
        let document = match Self::is_index(&descriptor.media_type) {
            true => Self::Index(Box::new(Index::parse(bytes).map_err(|error| error.to_string())?)),
            false => Self::Manifest(Box::new(Manifest::parse(bytes).map_err(|error| error.to_string())?)),
        };
        match document.media_type() {
            Some(own) if *own != descriptor.media_type => {
                Err(format!("its descriptor says {}, the document itself {own}", descriptor.media_type))
            }
            _ => Ok(document),
        }
    }

    fn media_type(&self) -> Option<&MediaType> {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_ref(),
            Self::Index(index) => index.media_type.as_ref(),
        }
    }

    /// What the document is about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// The document as lists of what is about its subject show it (distribution specification, "Listing Referrers"); long
    /// annotations stand in the document alone.
    pub fn as_referrer(&self, described: &Descriptor) -> Descriptor {
        const LONGEST: usize = 16 << 10;
        let (artifact_type, annotations) = match self {
            Self::Manifest(manifest) => {
                let untold = || manifest.config.media_type.clone();
                (Some(manifest.artifact_type.clone().unwrap_or_else(untold)), &manifest.annotations)
            }
            Self::Index(index) => (index.artifact_type.clone(), &index.annotations),
        };
        let length: usize = annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
        let annotations = if length > LONGEST { Default::default() } else { annotations.clone() };
        let Descriptor { media_type, digest, size, .. } = described.clone();
        Descriptor { artifact_type, annotations, ..Descriptor::new(&media_type.0, digest, size) }
    }

    /// What it names: config and layers, or manifests.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Self::Manifest(manifest) => std::iter::once(&manifest.config).chain(&manifest.layers).collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }
}

/// A document that is what its digest says, but not what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{digest} cannot be used: {why}")]
pub struct Unsuitable {
    /// Which.
    pub digest: Digest,
    /// Why not.
    pub why: String,
}

/// What a walk has found, each digest once; what a document names comes before it.
#[derive(Debug, Default)]
pub struct Closure {
    /// Manifests and indexes.
    pub documents: Vec<(Descriptor, Document)>,
    /// All that are no documents: configs, layers, blobs of unknown kinds.
    pub blobs: Vec<Descriptor>,
    seen: BTreeSet<Digest>,
}

impl Closure {
    /// Adds `root` and all below it. `fetch` gives a document's bytes, checked against its descriptor.
    pub fn add<E: From<Unsuitable>>(
        &mut self,
        root: &Descriptor,
        fetch: &dyn Fn(&Descriptor) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        self.walk(root, fetch, DEEPEST)
    }

    fn walk<E: From<Unsuitable>>(
        &mut self,
        descriptor: &Descriptor,
        fetch: &dyn Fn(&Descriptor) -> Result<Vec<u8>, E>,
        depth: usize,
    ) -> Result<(), E> {
        let refuse = |why: String| E::from(Unsuitable { digest: descriptor.digest, why });
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        if self.seen.len() > MOST {
            return Err(refuse(format!("more than {MOST} blobs belong together")));
        }
        if !Document::is_document(&descriptor.media_type) {
            self.blobs.push(descriptor.clone());
            return Ok(());
        }
        if descriptor.size > LARGEST_DOCUMENT {
            return Err(refuse(format!("a manifest of {} bytes is too large", descriptor.size)));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(refuse(format!("indexes are nested deeper than {DEEPEST}")));
        };
        let document = Document::parse(descriptor, &fetch(descriptor)?).map_err(refuse)?;
        for child in document.children() {
            self.walk(child, fetch, depth)?;
        }
        self.documents.push((descriptor.clone(), document));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn index(children: &[Descriptor]) -> Vec<u8> {
        let index = Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests: children.to_vec(),
            subject: None,
            annotations: Default::default(),
        };
        serde_json::to_vec(&index).unwrap()
    }

    fn named(name: &str) -> Descriptor {
        Descriptor::new(MediaType::INDEX, Digest::of(name), 2)
    }

    /// Walks where `fetch` makes up a document for every descriptor; how many were fetched.
    fn walk(root: &str, fetch: &dyn Fn(&Descriptor) -> Vec<u8>) -> (Result<Closure, Unsuitable>, usize) {
        let (mut closure, fetched) = (Closure::default(), Cell::new(0));
        let done = closure.add::<Unsuitable>(&named(root), &|one| {
            fetched.set(fetched.get() + 1);
            Ok(fetch(one))
        });
        (done.map(|()| closure), fetched.get())
    }

    #[test]
    fn b5_circles_nesting_and_fan_out_end() {
        // One that names itself can only come from a store or registry that lies; it is visited once.
        let (circle, fetched) = walk("a", &|_| index(&[named("a")]));
        assert_eq!((circle.unwrap().documents.len(), fetched), (1, 1));
        // Without an end.
        let (endless, fetched) = walk("a", &|one| index(&[named(&one.digest.hex())]));
        assert_eq!((endless.unwrap_err().why.as_str(), fetched), ("indexes are nested deeper than 8", 8));
        // Eight levels of a thousand, all the same thousand: a thousand times a thousand … ways.
        let thousand: Vec<Descriptor> = (0..1000).map(|number| named(&number.to_string())).collect();
        let (fans, fetched) = walk("a", &|_| index(&thousand));
        assert_eq!((fans.unwrap_err().why.as_str(), fetched), ("indexes are nested deeper than 8", 8));
        let (fans, fetched) = walk("a", &|one| if *one == named("a") { index(&thousand) } else { index(&[]) });
        assert_eq!((fans.unwrap().documents.len(), fetched), (1001, 1001));
        // A hundred thousand platforms.
        let many: Vec<Descriptor> = (0..100_000).map(|number| named(&number.to_string())).collect();
        let (many, fetched) = walk("a", &|one| if *one == named("a") { index(&many) } else { index(&[]) });
        assert_eq!((many.unwrap_err().why.as_str(), fetched), ("more than 10000 blobs belong together", 10_000));
    }
}
