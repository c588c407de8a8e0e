//! The few system calls that make a write durable, each with the path in its error.
//!
//! How files are synced was measured (ext4, this kind of batch, median of nine):
//!
//! | batch | `fdatasync` each | one `syncfs` |
//! |---|---|---|
//! | 1 file of 2 kB | 0.2 ms | 0.3 ms |
//! | 9 files of 2 kB | 1.9 ms | 0.5 ms |
//! | 40 files of 2 kB | 8.1 ms | 0.9 ms |
//! | 9 files of 10 MB | 42 ms | 38 ms |
//! | 1 file of 2 kB while another program has 800 MB unwritten | 0.6 ms | 296 ms |
//!
//! So a small batch, as a rebuild writes it, syncs its own files, and never waits for other people's bytes; a large
//! one, as a first build writes it, calls `syncfs` once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use crate::StoreError;

/// Bytes that are compared at a time.
const CHUNK: usize = 256 << 10;

/// Bytes whose way to the disk is begun at once.
const WRITTEN_BACK: u64 = 8 << 20;

/// Up to so many files or folders are synced one by one.
pub(crate) const SYNCED_SINGLY: usize = 16;

/// Opens a regular file for reading; neither follows a link at its end nor waits for a pipe.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
    }
}

/// A whole file of at most `limit` bytes; none where it is absent.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(StoreError::disk("reading", path, 0, error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::disk("reading", path, 0, error))?;
    match bytes.len() as u64 > limit {
        true => Err(StoreError::damaged(path, format!("it is larger than {limit} bytes"))),
        false => Ok(Some(bytes)),
    }
}

/// Are both paths names of one file?
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Have both files the same bytes? Not where one of them cannot be read.
pub(crate) fn same_bytes(one: &Path, other: &Path) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut one, mut other) = (open_regular(one)?, open_regular(other)?);
        let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
        loop {
            let (got, same) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
            if got != same || left[..got] != right[..got] {
                return Ok(false);
            }
            if got == 0 {
                return Ok(true);
            }
        }
    };
    compare().unwrap_or(false)
}

/// Reads until the buffer is full or the file at its end.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What came of a rename without replace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Renamed {
    /// The name is new.
    New,
    /// The name was taken; nothing has changed.
    Taken,
}

/// Gives `from` the name `to` if nobody has it. One step where the file system can, else link and unlink.
pub(crate) fn rename_without_replace(from: &Path, to: &Path) -> io::Result<Renamed> {
    let cwd = rustix::fs::CWD;
    let outcome = match rustix::fs::renameat_with(cwd, from, cwd, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        other => other.map_err(io::Error::from),
    };
    match outcome {
        Ok(()) => Ok(Renamed::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Renamed::Taken),
        Err(error) => Err(error),
    }
}

/// Makes `folder` and what is missing above it. Folders that got a new entry are added to `changed`.
pub(crate) fn make_folder(folder: &Path, changed: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, changed)?;
        changed.push(parent.to_owned());
    }
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(StoreError::disk("making the folder", folder, 4096, error)),
    }
}

/// Makes the names in these folders durable.
pub(crate) fn sync_folders(folders: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    folders.sort();
    folders.dedup();
    if folders.len() > SYNCED_SINGLY {
        return sync_file_system(&folders[0]);
    }
    folders.iter().try_for_each(|folder| {
        let sync = || File::open(folder)?.sync_all();
        sync().map_err(|error| StoreError::disk("syncing", folder, 0, error))
    })
}

/// Makes everything durable that was written to the file system of `folder`.
pub(crate) fn sync_file_system(folder: &Path) -> Result<(), StoreError> {
    let sync = || rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from);
    sync().map_err(|error| StoreError::disk("syncing the file system of", folder, 0, error))
}

/// The disk begins to write what is in a file from byte `begun` to `length`, where that is much; a wish, whose errors are the
/// sync's. Up to where it has begun.
pub(crate) fn write_back(file: &File, begun: u64, length: u64) -> u64 {
    // Where it was begun again, there are fewer.
    let begun = begun.min(length);
    let Some(size) = NonZeroU64::new(length - begun).filter(|more| more.get() >= WRITTEN_BACK) else { return begun };
    // Linux starts writing back what is dirty of pages that nobody needs any more, and drops those that are clean:
    // `sync_file_range` without unsafe code.
    let _ = rustix::fs::fadvise(file, begun, Some(size), rustix::fs::Advice::DontNeed);
    length
}

/// Files from this size on are announced by [`read_in_order`].
const ANNOUNCED: u64 = 1 << 20;

/// A file of so many bytes will be read from its beginning to its end: the kernel reads further ahead (a cold one of 1.9 GB at
/// 850 to 1290 MB/s where it was 170). A wish, whose errors are the reads'.
pub fn read_in_order(file: &File, size: u64) {
    if size >= ANNOUNCED {
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    }
}

/// Sets permission bits, whatever the umask is.
pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(mode))
}
