//! What holds how much: by image, and by kind of everything else.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use corten_oci::{Digest, Reference};

use crate::prune::{Item, Kept, Kind, Marker, survey};
use crate::{Ground, Store, StoreError, disk, ground};

/// What a file is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Layers, documents and indexes of images that have names.
    Images,
    /// Zip files: wheels.
    Wheels,
    /// Debian's packages.
    Debs,
    /// Layers that no named image has: conversions, layers of other images.
    Layers,
    /// Documents and other files that no named image has.
    Others,
    /// What lies in layers.
    Indexes,
    /// Layers unpacked to run something in them.
    Trees,
    /// Remembered results.
    Records,
    /// What `RUN --mount=type=cache` keeps.
    CacheMounts,
    /// Downloads under way.
    Downloads,
    /// Set aside because it was damaged.
    Trash,
}

impl Class {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Wheels => "wheels",
            Self::Debs => "Debian packages",
            Self::Layers => "layers without a name",
            Self::Others => "other files",
            Self::Indexes => "indexes of layers",
            Self::Trees => "unpacked layers",
            Self::Records => "remembered results",
            Self::CacheMounts => "cache mounts",
            Self::Downloads => "downloads under way",
            Self::Trash => "trash",
        }
    }
}

/// An image and what it holds.
#[derive(Debug, Clone)]
pub struct ImageSize {
    /// Its manifest or index.
    pub digest: Digest,
    /// Its names.
    pub names: Vec<Reference>,
    /// Bytes of all that it needs.
    pub bytes: u64,
    /// Bytes that no other image needs: what goes when it goes.
    pub own: u64,
}

/// How large a store is.
#[derive(Debug, Clone)]
pub struct StoreSize {
    /// Largest first.
    pub images: Vec<ImageSize>,
    /// Files and bytes; only what there is.
    pub classes: BTreeMap<Class, (usize, u64)>,
    /// Bytes of all files.
    pub total: u64,
    /// Bytes that this user may still write there.
    pub free: u64,
    /// What the store lies on.
    pub ground: Ground,
}

impl Store {
    /// What holds how much. Images that share layers are told with and without those.
    ///
    /// # Errors
    /// A damaged document of an image: what it needs is not known.
    pub fn sizes(&self) -> Result<StoreSize, StoreError> {
        let items = survey(self)?;
        let mut marker = Marker::new(self);
        let mut by_image: BTreeMap<Digest, (Vec<Reference>, Kept)> = BTreeMap::new();
        for (name, digest) in self.roots()? {
            if let Some((names, _)) = by_image.get_mut(&digest) {
                names.push(name);
                continue;
            }
            let mut kept = Kept::default();
            marker.images(&[(name.clone(), digest)], &mut kept)?;
            by_image.insert(digest, (vec![name], kept));
        }
        let mut users: HashMap<Digest, usize> = HashMap::new();
        for digest in by_image.values().flat_map(|(_, kept)| &kept.blobs) {
            *users.entry(*digest).or_default() += 1;
        }
        let sizes: HashMap<Digest, u64> = items.iter().filter_map(|item| Some((blob(item)?, item.size))).collect();
        let size = |digest: &Digest| sizes.get(digest).copied().unwrap_or_default();
        let image = |(digest, (names, kept)): (Digest, (Vec<Reference>, Kept))| ImageSize {
            digest,
            names,
            bytes: kept.blobs.iter().map(size).sum(),
            own: kept.blobs.iter().filter(|blob| users.get(blob) == Some(&1)).map(size).sum(),
        };
        let mut images: Vec<ImageSize> = by_image.into_iter().map(image).collect();
        images.sort_by_key(|image| (std::cmp::Reverse(image.bytes), image.digest));
        let total = items.iter().map(|item| item.size).sum();
        let classes = classes(&items, |digest| users.contains_key(digest));
        Ok(StoreSize {
            images,
            classes,
            total,
            free: crate::error::free(self.root()).0,
            ground: ground::of(self.root()),
        })
    }

    /// Bytes that this user may still write where the store lies.
    pub fn room(&self) -> u64 {
        crate::error::free(self.root()).0
    }

    /// What the store lies on.
    pub fn ground(&self) -> Ground {
        ground::of(self.root())
    }
}

fn blob(item: &Item) -> Option<Digest> {
    match item.kind {
        Kind::Blob(digest) => Some(digest),
        _ => None,
    }
}

/// Files and bytes by class. `is_of_image`: does a named image need the blob?
pub fn classes(items: &[Item], is_of_image: impl Fn(&Digest) -> bool) -> BTreeMap<Class, (usize, u64)> {
    let mut classes: BTreeMap<Class, (usize, u64)> = BTreeMap::new();
    for item in items {
        let class = match &item.kind {
            Kind::Blob(digest) if is_of_image(digest) => Class::Images,
            Kind::Blob(_) => class_of(&item.path),
            Kind::Index(_) => Class::Indexes,
            Kind::Tree { .. } => Class::Trees,
            Kind::Record => Class::Records,
            Kind::CacheMount => Class::CacheMounts,
            Kind::Download => Class::Downloads,
            Kind::Trash => Class::Trash,
            // Of a few bytes, and second names.
            Kind::Referrer { .. } | Kind::Layout if item.size == 0 => continue,
            Kind::Referrer { .. } | Kind::Layout => Class::Images,
        };
        let (files, bytes) = classes.entry(class).or_default();
        *files += 1;
        *bytes += item.size;
    }
    classes
}

/// By its first bytes.
fn class_of(path: &Path) -> Class {
    let mut begin = Vec::new();
    let read = disk::open_regular(path).and_then(|file| file.take(8).read_to_end(&mut begin));
    match (read, begin.as_slice()) {
        (Ok(_), [b'P', b'K', 3, 4, ..]) => Class::Wheels,
        (Ok(_), b"!<arch>\n") => Class::Debs,
        (Ok(_), [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..]) => Class::Layers,
        _ => Class::Others,
    }
}
