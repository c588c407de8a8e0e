//! The folder (`$CORTEN_HOME`) and reading from it.
//!
//! | name | what | if lost |
//! |---|---|---|
//! | `blobs/sha256/<hex>` | content, read-only | downloaded or made again |
//! | `layers/<diffid>/index` | what lies in a layer | made again from the blob |
//! | `layers/<diffid>/tree` | a layer unpacked for overlayfs; see `trees/mod.rs` | unpacked again; what a command of a build left is built again |
//! | `images/<repository>/_tags/<tag>` | the digest of a manifest | the name is lost |
//! | `images/<repository>/_manifests/<hex>` | a manifest that was pushed there, whatever its tags | it has to be pushed again |
//! | `images/<repository>/_blobs/<hex>` | empty: a blob that was pushed there and that no manifest names yet | it is pushed again |
//! | `referrers/<subject>/<referrer>` | which artifacts are about a manifest | made again |
//! | `cache/<key>` | a remembered result | made again |
//! | `downloads/<hex>.partial` | a download under way | begun again |
//! | `leases/` | what running commands rely on; see `lease.rs` | nothing, when none runs |
//! | `tmp/` | files that have no name yet | nothing |
//! | `trash/` | damaged blobs, set aside; what is being removed | nothing |
//! | `format` | the version of all this; see `format.rs` | it counts as today's |
//!
//! A name is given only after the bytes behind it are durable, and a pointer only after what it points to; see
//! [`crate::Batch`]. So after a crash or a power cut each name is either there, whole, or not there.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use corten_oci::{Blobs, Descriptor, DiffId, Digest, LayerIndex, Reference, Unsuitable};

use crate::later::Later;
use crate::lease::{self, Lease, Noted};
use crate::scratch::{self, Scratch, ScratchFolder};
use crate::trees::Chains;
use crate::verified::VerifiedReader;
use crate::{StoreError, disk, format, ground, index_file, names, partial, pointer, usage};

/// A whole blob that is asked for in memory (a manifest, a config, a bill of materials) may be so large.
const LARGEST_IN_MEMORY: u64 = 1 << 30;

/// A store. Many processes may have one open at once.
pub struct Store {
    root: PathBuf,
    scratch: OnceLock<Scratch>,
    pub(crate) lease: Lease,
    /// The time that uses are marked with; none are without it.
    pub(crate) now: Option<SystemTime>,
    pub(crate) chains: Chains,
    pub(crate) later: Later,
}

/// The name of a remembered result: the digest of everything that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Digest);

impl Store {
    /// Opens the store at `root`, makes its folders where they are absent, and removes what dead processes left. A
    /// store that is there may be on a read-only disk: reading works.
    ///
    /// # Errors
    /// A disk that says no, and a store of a version that this program does not know.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        format::check(&root)?;
        let store = Self {
            scratch: OnceLock::new(),
            lease: Lease::new(&root),
            now: None,
            chains: Chains::default(),
            later: Later::default(),
            root,
        };
        let mut changed = Vec::new();
        for name in ["blobs/sha256", "layers", "images", "referrers", "cache", "downloads", "tmp", "trash"] {
            disk::make_folder(&store.folder(name), &mut changed)?;
        }
        store.make_younger(&mut changed)?;
        if !changed.is_empty() {
            disk::sync_folders(&mut changed)?;
        }
        scratch::clean(&store.folder("tmp"));
        scratch::clean(&store.folder("trash"));
        partial::clean(&store);
        let leases = store.folder(lease::FOLDER);
        lease::clean(&leases, ground::of(&leases).is_doubtful());
        Ok(store)
    }

    /// What the first stores had not. One that nobody may write, does without.
    fn make_younger(&self, changed: &mut Vec<PathBuf>) -> Result<(), StoreError> {
        let leases = self.folder(lease::FOLDER);
        let mut make = || -> Result<(), StoreError> {
            let mut new = Vec::new();
            disk::make_folder(&leases, &mut new)?;
            lease::make_gate(&leases).map_err(|error| StoreError::disk("writing", &leases, 1, error))?;
            new.extend(format::write(&self.root)?);
            changed.extend(new);
            Ok(())
        };
        match make() {
            Err(StoreError::Disk { source, .. })
                if matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Marks what is used from now on with this time, so that what is used least can be removed first.
    #[must_use]
    pub fn marking(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Writes down, before it is looked for or named, that this command relies on something; see `lease.rs`.
    pub(crate) fn note(&self, things: impl IntoIterator<Item = Noted>) -> Result<(), StoreError> {
        for new in self.lease.note(things)? {
            usage::mark(self, &new);
        }
        Ok(())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Size of a blob in bytes, if it is there. Then it stays as long as this store is open.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.note([Noted::Blob(*digest)])?;
        self.size_now(digest)
    }

    /// The same for those who rely on nothing: it may be gone in the next moment.
    pub fn size_now(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.blob_path(digest);
        let waiting = self.later.file(&path).and_then(|path| fs::symlink_metadata(path).ok());
        match waiting.map_or_else(|| fs::symlink_metadata(&path), Ok) {
            // An empty file under another name is what a power cut leaves on a disk that lies about syncing.
            Ok(found) if found.len() == 0 && *digest != Digest::of([]) => Ok(None),
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if disk::is_absent(&error) => Ok(None),
            Err(error) => Err(StoreError::disk("looking at", &path, 0, error)),
        }
    }

    /// Where a blob lies (for handing to other programs and for links). It may not be there, nor stay: ask
    /// [`Store::size`] before.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_folder().join(digest.hex())
    }

    /// Opens a blob as a file for random access. It is a regular file; its hash is not checked.
    pub fn file(&self, digest: &Digest) -> Result<File, StoreError> {
        self.note([Noted::Blob(*digest)])?;
        let path = self.blob_path(digest);
        // In the moment between it may get its name.
        let waiting = self.later.file(&path).and_then(|path| disk::open_regular(&path).ok());
        waiting.map_or_else(|| disk::open_regular(&path), Ok).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(digest.to_string()),
            _ => StoreError::disk("opening", &path, 0, error),
        })
    }

    /// Opens a blob for reading to the end; size and hash are checked on the way, and the last bytes come only when
    /// they are right. A damaged blob is moved to `trash/`: it counts as absent then, so the next build makes it again.
    pub fn read(&self, digest: &Digest) -> Result<Box<dyn Read>, StoreError> {
        let (file, size) = self.sized(digest)?;
        Ok(Box::new(self.reader(file, size, digest)))
    }

    /// Is a blob there with the right bytes? A damaged one is moved to `trash/`, and counts as absent from then on.
    pub fn is_whole(&self, digest: &Digest) -> Result<bool, StoreError> {
        if self.size(digest)?.is_none() {
            return Ok(false);
        }
        match io::copy(&mut self.read(digest)?, &mut io::sink()) {
            Ok(_) => Ok(true),
            Err(error) => match StoreError::from_io("reading", &self.blob_path(digest), error) {
                StoreError::Damaged { .. } => Ok(false),
                other => Err(other),
            },
        }
    }

    pub(crate) fn reader(&self, file: File, size: u64, digest: &Digest) -> VerifiedReader {
        disk::read_in_order(&file, size);
        let trash = self.folder("trash").join(format!("{}-{}", digest.hex(), std::process::id()));
        VerifiedReader::new(file, self.blob_path(digest), size, *digest).setting_aside(trash)
    }

    /// A whole small blob, checked.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let (file, size) = self.sized(digest)?;
        if size > LARGEST_IN_MEMORY {
            return Err(StoreError::damaged(&path, format!("{size} bytes are too many for a document")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        match self.reader(file, size, digest).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(StoreError::from_io("reading", &path, error)),
        }
    }

    pub(crate) fn sized(&self, digest: &Digest) -> Result<(File, u64), StoreError> {
        let file = self.file(digest)?;
        let found =
            file.metadata().map_err(|error| StoreError::disk("looking at", &self.blob_path(digest), 0, error))?;
        Ok((file, found.len()))
    }

    /// A remembered result (`cache/<key>`); none where it is absent or torn.
    pub fn record(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.record_path(key);
        let bytes = self.small(&path, pointer::LARGEST_RECORD)?;
        usage::mark_path(self, &path);
        Ok(bytes.and_then(|bytes| pointer::decode_record(&key.0, &bytes)))
    }

    /// What lies in a layer (`layers/<diffid>/index`); none where it is absent, torn or of another version.
    pub fn layer_index(&self, diff_id: &DiffId) -> Result<Option<LayerIndex>, StoreError> {
        self.note([Noted::Layer(*diff_id)])?;
        let bytes = self.small(&self.index_path(diff_id), LARGEST_IN_MEMORY)?;
        Ok(bytes.and_then(|bytes| index_file::decode(diff_id, &bytes)))
    }

    /// Is an index of the layer there? Whether it is whole shows when it is read.
    pub fn has_layer_index(&self, diff_id: &DiffId) -> bool {
        let path = self.index_path(diff_id);
        self.note([Noted::Layer(*diff_id)]).is_ok() && (self.later.file(&path).is_some() || path.is_file())
    }

    /// A small file, also one that waits for its name.
    fn small(&self, place: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(path) = self.later.file(place)
            && let Some(bytes) = disk::read_small(&path, limit)?
        {
            return Ok(Some(bytes));
        }
        disk::read_small(place, limit)
    }

    /// The digest that a name points to (`images/<repository>/_tags/<tag>`). Without tag and digest, `latest` is
    /// meant; with a digest, the name's tag is memory, and the digest is the answer if it is in the store.
    pub fn image(&self, reference: &Reference) -> Result<Option<Digest>, StoreError> {
        if let Some(digest) = reference.digest {
            return Ok(self.size(&digest)?.map(|_| digest));
        }
        let path = self.image_path(reference);
        let digest = self.pointed(&path)?;
        if let Some(digest) = digest {
            self.note([Noted::Blob(digest)])?;
            usage::mark_path(self, &path);
        }
        Ok(digest)
    }

    pub(crate) fn pointed(&self, path: &Path) -> Result<Option<Digest>, StoreError> {
        let Some(bytes) = disk::read_small(path, pointer::LARGEST)? else { return Ok(None) };
        match pointer::decode_image(&bytes) {
            Some(digest) => Ok(Some(digest)),
            None => Err(StoreError::damaged(path, "it does not hold a digest")),
        }
    }

    /// All names, sorted.
    pub fn images(&self) -> Result<Vec<(Reference, Digest)>, StoreError> {
        let mut images = Vec::new();
        for (reference, path) in self.image_paths()? {
            images.extend(self.pointed(&path)?.map(|digest| (reference, digest)));
        }
        Ok(images)
    }

    /// Artifacts whose subject is `digest` (SBOM, release …), sorted by digest. Torn entries count as absent.
    pub fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let folder = self.referrers_folder(digest);
        let mut referrers = Vec::new();
        for name in names::names_in(&folder)? {
            let bytes = disk::read_small(&folder.join(&name), pointer::LARGEST)?;
            let descriptor = bytes.and_then(|bytes| pointer::decode_referrer(&bytes));
            referrers.extend(descriptor.filter(|descriptor| descriptor.digest.hex() == name));
        }
        Ok(referrers)
    }

    /// Begins a durable write of many things.
    pub fn batch(&self) -> crate::Batch<'_> {
        crate::Batch::new(self)
    }

    /// A folder for programs that need one while something is made.
    pub fn scratch_folder(&self) -> Result<ScratchFolder, StoreError> {
        ScratchFolder::new(self.scratch_path()?)
    }

    /// A path for a file that has no name yet.
    pub(crate) fn scratch_path(&self) -> Result<PathBuf, StoreError> {
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch.path());
        }
        let new = Scratch::new(&self.folder("tmp"))?;
        Ok(self.scratch.get_or_init(|| new).path())
    }

    /// Describes a manifest, an index or any other document of the store by its own media type.
    pub fn describe(&self, digest: &Digest, bytes: &[u8]) -> Result<Descriptor, StoreError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
            artifact_type: Option<String>,
        }
        let shape: Shape = serde_json::from_slice(bytes)
            .map_err(|error| StoreError::damaged(&self.blob_path(digest), format!("it is not a manifest: {error}")))?;
        let untold = match shape.manifests {
            Some(_) => corten_oci::MediaType::INDEX,
            None => corten_oci::MediaType::MANIFEST,
        };
        let media_type = shape.media_type.as_deref().unwrap_or(untold);
        let mut descriptor = Descriptor::new(media_type, *digest, bytes.len() as u64);
        descriptor.artifact_type = shape.artifact_type.as_deref().map(Into::into);
        Ok(descriptor)
    }
}

impl Store {
    /// A blob's file, if it has the size that the descriptor says.
    fn described(&self, descriptor: &Descriptor) -> io::Result<File> {
        let (file, size) = self.sized(&descriptor.digest).map_err(StoreError::into_io)?;
        if size != descriptor.size {
            // Is the blob wrong (then it is set aside now), or the descriptor?
            io::copy(&mut self.reader(file, size, &descriptor.digest), &mut io::sink())?;
            let why = format!("it has {size} bytes, its descriptor says {}", descriptor.size);
            return Err(StoreError::Unsuitable(Unsuitable { digest: descriptor.digest, why }).into_io());
        }
        Ok(file)
    }
}

impl Blobs for Store {
    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        let file = self.described(descriptor)?;
        Ok(Box::new(self.reader(file, descriptor.size, &descriptor.digest)))
    }

    fn open_unchecked(&self, descriptor: &Descriptor, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = self.described(descriptor)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file.take(descriptor.size.saturating_sub(from))))
    }

    fn has(&self, digest: &Digest) -> io::Result<bool> {
        Ok(self.size(digest).map_err(StoreError::into_io)?.is_some())
    }
}
