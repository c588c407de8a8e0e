//! OCI layouts: from `index.json` to the one manifest for a platform.
//!
//! Documents are bounded in size, number and depth, and each digest is visited once, so a circle of indexes ends.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use corten_oci::{
    Architecture, Descriptor, Digest, Document, ImageConfig, Index, LARGEST_DOCUMENT, Manifest, MediaType, Platform,
    Reference,
};

use super::take::{Bytes, Layer};
use super::{ForeignError, Found, Wish, refused};
use crate::contents::{NAME, WHOLE_NAME, is_image_config, subject_of_name};
use crate::{Store, StoreError, disk, layout};

const DEEPEST: usize = 8;
const MOST: usize = 10_000;

/// Something that has an index, and blobs by digest.
pub(super) trait Layout {
    /// For people.
    fn place(&self) -> String;
    /// `index.json`.
    fn index(&self) -> Result<Index, ForeignError>;
    /// Where a blob's bytes are; its size where it is not known yet.
    fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<Bytes, ForeignError>;
}

/// A layout that is a folder.
pub(super) struct LayoutFolder(PathBuf);

impl LayoutFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, ForeignError> {
        if !folder.is_dir() {
            let hint = "an OCI layout is a folder with oci-layout, index.json and blobs: `skopeo copy … oci:FOLDER`, \
                        `podman save --format oci-dir` and `corten ship` write one";
            return Err(ForeignError::Absent { place: folder.display().to_string(), hint: hint.into() });
        }
        layout::check_marker(&folder.join(layout::MARKER))?;
        Ok(Self(folder.to_owned()))
    }
}

impl Layout for LayoutFolder {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    fn index(&self) -> Result<Index, ForeignError> {
        let index = layout::read_index(&self.0)?;
        index.ok_or_else(|| refused(&self.0, "its index.json is absent"))
    }

    fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<Bytes, ForeignError> {
        let path = layout::blobs(&self.0).join(digest.hex());
        let file = disk::open_regular(&path).map_err(|error| unopened(&path, digest, error))?;
        let found = file.metadata().map_err(|error| StoreError::disk("reading", &path, 0, error))?.len();
        Ok(Bytes { file, path, part: None, size: size.unwrap_or(found), digest: Some(*digest) })
    }
}

fn unopened(path: &Path, digest: &Digest, error: std::io::Error) -> ForeignError {
    match disk::is_absent(&error) {
        true => StoreError::damaged(path, format!("blob {digest}, which is named, is missing")).into(),
        false => StoreError::disk("reading", path, 0, error).into(),
    }
}

/// An image of the store, as if it lay in a layout alone.
pub(super) struct Named<'a> {
    store: &'a Store,
    digest: Digest,
    place: String,
}

impl<'a> Named<'a> {
    /// The image of that digest, else the one that has the name.
    pub(super) fn of(store: &'a Store, reference: &Reference, digest: Option<&Digest>) -> Result<Self, ForeignError> {
        let named = match digest {
            Some(digest) => store.size(digest)?.map(|_| *digest),
            None => store.image(reference)?,
        };
        let hint = "`corten images` lists what is there, `corten base build --name NAME` makes a base".to_owned();
        let place = match digest {
            Some(digest) => format!("{digest} of the store"),
            None => format!("'{reference}' of the store"),
        };
        let own = |digest| Self { store, digest, place: "the store".to_owned() };
        named.map(own).ok_or(ForeignError::Absent { place, hint })
    }

    /// The image of that digest, which came from elsewhere.
    pub(super) fn pulled(store: &'a Store, place: &str, digest: Option<&Digest>) -> Result<Self, ForeignError> {
        let absent = || ForeignError::Absent { place: place.to_owned(), hint: "pull it again".to_owned() };
        let digest = digest.copied().filter(|digest| store.size(digest).is_ok_and(|size| size.is_some()));
        digest.map(|digest| Self { store, digest, place: place.to_owned() }).ok_or_else(absent)
    }
}

impl Layout for Named<'_> {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn index(&self) -> Result<Index, ForeignError> {
        let root = self.store.describe(&self.digest, &self.store.bytes(&self.digest)?)?;
        Ok(layout::index_of(vec![root]))
    }

    fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<Bytes, ForeignError> {
        let path = self.store.blob_path(digest);
        let file = self.store.file(digest)?;
        let found = file.metadata().map_err(|error| StoreError::disk("reading", &path, 0, error))?.len();
        Ok(Bytes { file, path, part: None, size: size.unwrap_or(found), digest: Some(*digest) })
    }
}

/// Finds the manifest for a platform.
pub(super) fn find(layout: &dyn Layout, wish: &Wish<'_>) -> Result<Found, ForeignError> {
    let index = layout.index()?;
    let entries: Vec<&Descriptor> = index.manifests.iter().filter(|entry| !is_fallback(entry)).collect();
    let names = || entries.iter().filter_map(|entry| entry.annotations.get(NAME).cloned()).collect::<BTreeSet<_>>();
    let named: Vec<Descriptor> = match (wish.digest, wish.name) {
        (Some(digest), _) => vec![by_digest(layout, digest, &entries)?],
        (None, None) => entries.iter().copied().cloned().collect(),
        (None, Some(name)) => entries.iter().copied().filter(|entry| is_named(entry, name)).cloned().collect(),
    };
    if let (true, Some(name)) = (named.is_empty(), wish.name) {
        let names = names().into_iter().collect();
        return Err(ForeignError::Unknown { place: layout.place(), name: name.to_owned(), names });
    }
    let mut walk =
        Walk { layout, wanted: wish.architecture, seen: BTreeSet::new(), others: BTreeSet::new(), found: Vec::new() };
    for entry in &named {
        walk.visit(entry, DEEPEST)?;
    }
    let Walk { mut found, others, .. } = walk;
    match found.len() {
        0 => {
            let (place, wanted) = (layout.place(), wish.architecture);
            Err(ForeignError::Platform { place, wanted, found: others.into_iter().collect() })
        }
        1 => Ok(found.remove(0)),
        count => Err(ForeignError::Several { place: layout.place(), count, names: names().into_iter().collect() }),
    }
}

/// An index of referrers is no image.
fn is_fallback(entry: &Descriptor) -> bool {
    entry.annotations.get(NAME).is_some_and(|name| subject_of_name(name).is_some())
}

fn is_named(entry: &Descriptor, name: &str) -> bool {
    [NAME, WHOLE_NAME].iter().any(|key| entry.annotations.get(*key).is_some_and(|found| found == name))
}

/// A manifest or index of the layout, whether `index.json` lists it or not.
fn by_digest(layout: &dyn Layout, digest: &Digest, entries: &[&Descriptor]) -> Result<Descriptor, ForeignError> {
    if let Some(entry) = entries.iter().find(|entry| entry.digest == *digest) {
        return Ok((*entry).clone());
    }
    let unknown = || ForeignError::Unknown { place: layout.place(), name: digest.to_string(), names: Vec::new() };
    let bytes = layout.blob(digest, None).map_err(|error| match error {
        ForeignError::Store(StoreError::Damaged { .. } | StoreError::Missing(_)) => unknown(),
        other => other,
    })?;
    let bytes = small(layout, bytes)?;
    let media_type = match Index::parse(&bytes).is_ok() {
        true => MediaType::INDEX,
        false => MediaType::MANIFEST,
    };
    let stated = Manifest::parse(&bytes).ok().and_then(|manifest| manifest.media_type);
    let stated = stated.or_else(|| Index::parse(&bytes).ok().and_then(|index| index.media_type));
    let media_type = stated.map_or_else(|| media_type.to_owned(), |stated| stated.0);
    Ok(Descriptor::new(&media_type, *digest, bytes.len() as u64))
}

/// A whole document, checked.
fn small(layout: &dyn Layout, bytes: Bytes) -> Result<Vec<u8>, ForeignError> {
    if bytes.size > LARGEST_DOCUMENT {
        let why = format!("a document of {} bytes is too large", bytes.size);
        return Err(ForeignError::Refused { place: layout.place(), why });
    }
    let path = bytes.path.clone();
    let mut content = Vec::new();
    bytes
        .open()
        .and_then(|mut reader| reader.read_to_end(&mut content))
        .map_err(|error| StoreError::from_io("reading", &path, error))?;
    Ok(content)
}

struct Walk<'a> {
    layout: &'a dyn Layout,
    wanted: Architecture,
    seen: BTreeSet<Digest>,
    /// Platforms that are not wanted.
    others: BTreeSet<String>,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn refuse(&self, why: String) -> ForeignError {
        ForeignError::Refused { place: self.layout.place(), why }
    }

    fn visit(&mut self, entry: &Descriptor, depth: usize) -> Result<(), ForeignError> {
        if !Document::is_document(&entry.media_type) || !self.seen.insert(entry.digest) {
            return Ok(());
        }
        if self.seen.len() > MOST {
            return Err(self.refuse(format!("more than {MOST} manifests belong together")));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.refuse(format!("indexes are nested deeper than {DEEPEST}")));
        };
        let bytes = small(self.layout, self.layout.blob(&entry.digest, Some(entry.size))?)?;
        let refuse = |why: String| self.refuse(format!("{}: {why}", entry.digest));
        match Document::parse(entry, &bytes).map_err(refuse)? {
            Document::Index(index) => {
                for child in &index.manifests {
                    match &child.platform {
                        Some(other) if !is_wanted(other, self.wanted) => self.other(other),
                        _ => self.visit(child, depth)?,
                    }
                }
                Ok(())
            }
            Document::Manifest(manifest) => self.manifest(entry, &manifest),
        }
    }

    fn manifest(&mut self, entry: &Descriptor, manifest: &Manifest) -> Result<(), ForeignError> {
        if !is_image(manifest) {
            return Ok(());
        }
        let bytes = small(self.layout, self.layout.blob(&manifest.config.digest, Some(manifest.config.size))?)?;
        let config = ImageConfig::parse(&bytes).map_err(|error| self.refuse(format!("{}: {error}", entry.digest)))?;
        let (os, architecture, variant) = (config.os.clone(), config.architecture.clone(), config.variant.clone());
        let platform = Platform { os, architecture, variant };
        if !is_wanted(&platform, self.wanted) {
            self.other(&platform);
            return Ok(());
        }
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            if !layer_is_known(&layer.media_type) {
                return Err(self.refuse(format!("layer {} is '{}'", layer.digest, layer.media_type)));
            }
            let bytes = self.layout.blob(&layer.digest, Some(layer.size))?;
            layers.push(Layer { media_type: layer.media_type.of_oci(), bytes });
        }
        self.found.push(Found { digest: entry.digest, config, layers, place: self.layout.place() });
        Ok(())
    }

    fn other(&mut self, platform: &Platform) {
        // What buildkit writes beside images.
        if platform.os != "unknown" {
            self.others.insert(platform.to_string());
        }
    }
}

/// Is it an image, and no artifact?
pub fn is_image(manifest: &Manifest) -> bool {
    let has_config = is_image_config(&manifest.config.media_type);
    has_config && manifest.subject.is_none() && manifest.artifact_type.is_none()
}

/// Of linux, without a variant, or with the one that every such processor has.
pub fn is_wanted(platform: &Platform, wanted: Architecture) -> bool {
    let usual = match wanted {
        Architecture::Amd64 => "v1",
        Architecture::Arm64 => "v8",
    };
    platform.os == "linux"
        && platform.architecture == wanted.go_name()
        && platform.variant.as_deref().is_none_or(|variant| variant.is_empty() || variant == usual)
}

fn layer_is_known(media_type: &MediaType) -> bool {
    let known = [MediaType::LAYER, MediaType::LAYER_GZIP, MediaType::LAYER_ZSTD];
    known.iter().any(|known| media_type.of_oci().is(known))
}
