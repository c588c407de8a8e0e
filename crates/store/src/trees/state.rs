//! What is written down beside a tree: how large it is, whether it was made here, and what it is checked by.
//!
//! ```text
//! corten-record 2 …                 the first line of every record (`pointer.rs`): a torn file is seen to be one
//! boot <id of the machine's start>  in which it was written or checked
//! bytes <n>                         that it takes
//! files <n>
//! shape sha256:<hex>                of the names, kinds, sizes and modes of all files
//! made upper | layer                by a command of a build: its bytes may be nowhere else; or unpacked
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use corten_oci::{DiffId, Digest, Digester};
use rustix::fs::FileType;

use super::ROOT;
use super::beneath::{self, Found, Root};
use crate::disk::{self, SYNCED_SINGLY};
use crate::{Store, StoreError, lease, pointer, usage};

const FILE: &str = "state";
/// Folders in folders.
const DEEPEST: usize = 512;

/// What is known of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// That all files take.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    shape: Digest,
    /// Its bytes may be nowhere else.
    pub(crate) made_here: bool,
}

/// Counts a tree.
pub(crate) struct Counting {
    bytes: u64,
    files: u64,
    digester: Digester,
}

impl Counting {
    pub(crate) fn new() -> Self {
        Self { bytes: 0, files: 0, digester: Digester::new() }
    }

    /// The next file, in the order of a walk that goes into each folder by the order of its names' bytes.
    pub(crate) fn add(&mut self, path: &[u8], found: &Found) {
        let size = if found.kind() == FileType::RegularFile { found.size() } else { 0 };
        self.digester.update(path);
        self.digester.update(format!("\0{:o} {size}\0", found.0.st_mode).as_bytes());
        self.files += 1;
        // Of a file with several names, each a part.
        let blocks = u64::try_from(found.0.st_blocks).unwrap_or_default().saturating_mul(512);
        self.bytes = self.bytes.saturating_add(blocks / u64::from(u32::try_from(found.0.st_nlink).unwrap_or(1).max(1)));
    }

    pub(crate) fn finish(self, made_here: bool) -> State {
        State { bytes: self.bytes, files: self.files, shape: self.digester.finish(), made_here }
    }
}

impl State {
    /// Of a tree as it is.
    pub(crate) fn of(root: &Path, made_here: bool) -> io::Result<Self> {
        let mut counting = Counting::new();
        count(&mut Root::open(root)?, &mut Vec::new(), 0, &mut counting)?;
        Ok(counting.finish(made_here))
    }

    /// Are the same files there?
    pub(crate) fn same_files(&self, other: &Self) -> bool {
        self.shape == other.shape
    }

    /// Of which nothing is known.
    pub(crate) fn torn() -> Self {
        Self { bytes: 0, files: 0, shape: Digest::of([]), made_here: false }
    }

    fn encode(&self, diff_id: &DiffId) -> Vec<u8> {
        let made = if self.made_here { "upper" } else { "layer" };
        let Self { bytes, files, shape, .. } = self;
        let text = format!("boot {}\nbytes {bytes}\nfiles {files}\nshape {shape}\nmade {made}\n", lease::boot());
        pointer::encode_record(&diff_id.0, text.as_bytes())
    }

    /// With the start of the machine in which it was checked.
    fn decode(diff_id: &DiffId, bytes: &[u8]) -> Option<(Self, String)> {
        let value = pointer::decode_record(&diff_id.0, bytes)?;
        let text = std::str::from_utf8(&value).ok()?;
        let mut lines = text.lines();
        let mut next = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
        let boot = next("boot")?.to_owned();
        let (bytes, files) = (next("bytes")?.parse().ok()?, next("files")?.parse().ok()?);
        let (shape, made_here) = (next("shape")?.parse().ok()?, next("made")? == "upper");
        Some((Self { bytes, files, shape, made_here }, boot))
    }

    /// Makes the files durable, and their folder.
    pub(crate) fn sync(&self, wrapper: &Path) -> Result<(), StoreError> {
        if self.files > SYNCED_SINGLY as u64 {
            return disk::sync_file_system(wrapper);
        }
        let failed = |error| StoreError::disk("syncing", wrapper, self.bytes, error);
        sync_below(&mut Root::open(&wrapper.join(ROOT)).map_err(failed)?, &mut Vec::new()).map_err(failed)?;
        let sync = || File::open(wrapper.join(FILE))?.sync_all().and_then(|()| File::open(wrapper)?.sync_all());
        sync().map_err(failed)
    }
}

fn count(root: &mut Root, path: &mut Vec<u8>, depth: usize, counting: &mut Counting) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("its folders are nested too deep"));
    }
    let folder = open(root, path)?;
    let length = path.len();
    if length == 0 {
        counting.add(b"", &Found(rustix::fs::fstat(&folder)?));
    }
    let _opened = beneath::Opened::new(folder.as_fd())?;
    for name in beneath::names(folder.as_fd())? {
        let Some(found) = beneath::look(folder.as_fd(), &name)? else { continue };
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        counting.add(path, &found);
        if found.is_folder() {
            count(root, path, depth + 1, counting)?;
        }
        path.truncate(length);
    }
    Ok(())
}

fn open(root: &Root, path: &[u8]) -> io::Result<std::os::fd::OwnedFd> {
    match path {
        b"" => Ok(rustix::io::fcntl_dupfd_cloexec(root.as_fd(), 0)?),
        path => beneath::open_folder(root.as_fd(), path),
    }
}

/// Few files, each for itself.
fn sync_below(root: &mut Root, path: &mut Vec<u8>) -> io::Result<()> {
    let folder = open(root, path)?;
    let _opened = beneath::Opened::new(folder.as_fd())?;
    let length = path.len();
    for name in beneath::names(folder.as_fd())? {
        let Some(found) = beneath::look(folder.as_fd(), &name)? else { continue };
        if found.kind() == FileType::RegularFile {
            beneath::open_file(folder.as_fd(), &name)?.sync_data()?;
        } else if found.is_folder() {
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            sync_below(root, path)?;
            path.truncate(length);
        }
    }
    beneath::sync_folder(folder.as_fd())
}

/// Writes the state beside the root.
pub(super) fn write(wrapper: &Path, diff_id: &DiffId, state: &State) -> Result<(), StoreError> {
    let path = wrapper.join(FILE);
    let write = || File::create(&path)?.write_all(&state.encode(diff_id));
    write().map_err(|error| StoreError::disk("writing", &path, 4096, error))
}

/// What is written beside a tree; none where it is torn or absent.
pub(crate) fn read(wrapper: &Path, diff_id: &DiffId) -> Option<State> {
    let bytes = disk::read_small(&wrapper.join(FILE), pointer::LARGEST).ok().flatten()?;
    State::decode(diff_id, &bytes).map(|(state, _)| state)
}

/// Where the mark of use of a tree is.
pub(crate) fn path(wrapper: &Path) -> std::path::PathBuf {
    wrapper.join(FILE)
}

/// Is a tree there, whole? Counts it where the machine was started since that was done last.
pub(super) fn check(store: &Store, diff_id: &DiffId, wrapper: &Path) -> Result<bool, StoreError> {
    let path = wrapper.join(FILE);
    let Some(bytes) = disk::read_small(&path, pointer::LARGEST)? else { return Ok(false) };
    let Some((state, boot)) = State::decode(diff_id, &bytes) else { return Ok(false) };
    usage::mark_path(store, &path);
    if boot == lease::boot() {
        return Ok(true);
    }
    let root = wrapper.join(ROOT);
    if State::of(&root, state.made_here).ok().is_none_or(|found| !found.same_files(&state)) {
        return Ok(false);
    }
    // Who cannot write here counts again the next time.
    let new = wrapper.join(format!("{FILE}.{}", std::process::id()));
    drop(fs::write(&new, state.encode(diff_id)).and_then(|()| fs::rename(&new, &path)));
    Ok(true)
}
