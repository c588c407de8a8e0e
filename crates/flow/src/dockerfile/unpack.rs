//! A context that came as a tar, put into a folder of its own.
//!
//! Every entry is made beneath the folder's descriptor and through no link (`openat2`), so a link in the archive leads nothing
//! anywhere. Owners, devices, pipes and extended attributes do not matter: what is copied from a context belongs to root.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_diagnostic::Failure;
use corten_layer::tar::{TarError, TarReader};
use corten_layer::{bounds, bzip2, xz};
use corten_oci::{Kind, LayerPath};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::source::packed;

/// Bytes of all files together; of what is compressed, as much as [`bounds::stream`] lets through.
const LARGEST: u64 = 64 << 30;
/// Entries.
const MOST: usize = 4_000_000;

/// What a stream was.
pub enum Unpacked {
    /// A tar; its files are in the folder.
    Folder,
    /// Something else; these are its first bytes.
    Other(Vec<u8>),
}

/// Puts a tar, plain or compressed, into `folder`, which is made. `shown` is how people know it.
///
/// # Errors
/// Input for a broken archive; world where the source or the disk fails.
pub fn unpack(shown: &str, from: &mut dyn Read, folder: &Path) -> Result<Unpacked, Failure> {
    let reading = |error: io::Error| Failure::world(format!("reading {shown}: {error}"));
    let mut head = Vec::new();
    from.take(512).read_to_end(&mut head).map_err(reading)?;
    let whole = io::Read::chain(io::Cursor::new(head.clone()), from);
    let broken = |error: io::Error| broken(shown, &error);
    let tar: Box<dyn Read + '_> = match packed(&head) {
        None if !is_tar(&head) => return Ok(Unpacked::Other(head)),
        None => Box::new(whole),
        Some(packing) => bounds::stream(whole, (LARGEST, "context"), |packed| match packing {
            "gzip" => xz::reader(".gz", packed),
            "zstd" => xz::reader(".zst", packed),
            "xz" => xz::reader(".xz", packed),
            "bzip2" => bzip2::reader(packed),
            other => Err(io::Error::other(format!("it is compressed with {other}"))),
        })
        .map_err(broken)?,
    };
    std::fs::create_dir_all(folder).map_err(|error| Failure::world(format!("making {}: {error}", folder.display())))?;
    let root = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = root.map_err(|error| Failure::world(format!("opening {}: {error}", folder.display())))?;
    Unpacking { root, folders: BTreeMap::new(), bytes: 0, entries: 0 }.all(tar).map_err(broken)?;
    Ok(Unpacked::Folder)
}

/// ustar's mark, or a header's checksum where there is none.
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    let ustar = block.get(257..262) == Some(b"ustar");
    let written = block.get(148..156).and_then(|field| std::str::from_utf8(field).ok());
    let written = written.and_then(|text| u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
    let sum = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
    ustar || block.iter().all(|byte| *byte == 0) || written == Some(sum.sum())
}

fn broken(shown: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied => {
            Failure::world(format!("unpacking {shown}: {error}"))
        }
        io::ErrorKind::FileTooLarge => Failure::input(format!("{shown} cannot be unpacked: {error}"))
            .hint("where so much is right, unpack it, and give its folder: corten build FOLDER"),
        _ => Failure::input(format!("{shown} cannot be unpacked: {error}"))
            .hint("make it again: tar -cz . | corten build -"),
    }
}

struct Unpacking {
    root: OwnedFd,
    /// Of folders: what is set last, as making files in them changes it.
    folders: BTreeMap<LayerPath, (u32, i64)>,
    bytes: u64,
    entries: usize,
}

impl Unpacking {
    fn all(mut self, tar: impl Read) -> io::Result<()> {
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 18, tar));
        while let Some(entry) = reader.next_entry().map_err(|error| match error {
            TarError::Read(error) => error,
            refused => io::Error::other(refused),
        })? {
            self.entries += 1;
            self.bytes = self.bytes.saturating_add(entry.size);
            if self.bytes > LARGEST || self.entries > MOST {
                return Err(io::Error::other(format!("it has more than {LARGEST} bytes or {MOST} entries")));
            }
            let (path, mtime) = (&entry.path, reader.mtime());
            match &entry.kind {
                Kind::Directory => {
                    self.folder(path)?;
                    self.folders.insert(path.clone(), (entry.mode, mtime));
                }
                Kind::File => {
                    let mut file = self.file(path)?;
                    io::copy(&mut reader.content(), &mut file)?;
                    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode & 0o7777))?;
                    rustix::fs::futimens(&file, &times(mtime))?;
                }
                Kind::Symlink(to) => {
                    let (parent, name) = self.parent(path)?;
                    remove(&parent, &name)?;
                    rustix::fs::symlinkat(to.as_str(), &parent, name.as_slice())?;
                    rustix::fs::utimensat(&parent, name.as_slice(), &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                Kind::HardLink(to) => {
                    let (from, old) = self.parent(to)?;
                    let (parent, name) = self.parent(path)?;
                    remove(&parent, &name)?;
                    rustix::fs::linkat(&from, old.as_slice(), &parent, name.as_slice(), AtFlags::empty())?;
                }
                // Neither can be copied from a context.
                _ => {}
            }
        }
        for (path, (mode, mtime)) in self.folders.iter().rev() {
            let folder = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode & 0o7777 | 0o700))?;
            rustix::fs::futimens(&folder, &times(*mtime))?;
        }
        Ok(())
    }

    fn open(&self, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { b".".as_slice() } else { path.as_bytes() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mode = Mode::from_raw_mode(if flags.contains(OFlags::CREATE) { 0o600 } else { 0 });
        rustix::fs::openat2(&self.root, OsStr::from_bytes(name), flags | OFlags::CLOEXEC, mode, resolve)
    }

    fn folder(&self, path: &LayerPath) -> io::Result<OwnedFd> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(at(path, error)),
        }
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name.as_slice(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(at(path, error)),
        }
        self.open(path, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| at(path, error))
    }

    /// The folder that an entry lies in, and its name there.
    fn parent(&self, path: &LayerPath) -> io::Result<(OwnedFd, Vec<u8>)> {
        let bytes = path.as_bytes();
        let (above, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (bytes.get(..slash).unwrap_or_default(), bytes.get(slash + 1..).unwrap_or_default()),
            None => (&b""[..], bytes),
        };
        let above = LayerPath::new(above).map_err(io::Error::other)?;
        Ok((self.folder(&above)?, name.to_vec()))
    }

    fn file(&self, path: &LayerPath) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        remove(&parent, &name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name.as_slice(), flags, Mode::from_raw_mode(0o600));
        Ok(File::from(file.map_err(|error| at(path, error))?))
    }
}

/// Says which entry.
fn at(path: &LayerPath, error: Errno) -> io::Error {
    let kind = io::Error::from(error).kind();
    let why = if error == Errno::LOOP { "it lies behind a link".to_owned() } else { error.to_string() };
    io::Error::new(kind, format!("{path}: {why}"))
}

/// What stands there is replaced, as tar does it.
fn remove(parent: &OwnedFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
