//! What a command changed in an overlay, as a layer.
//!
//! | in the upper folder | in the layer |
//! |---|---|
//! | a folder that is as below (same mode, owner, attributes), copied up for what is in it | nothing |
//! | a file that is as below (also same time, or content), copied up for a writing that never came | nothing |
//! | a whiteout of something | `.wh.NAME`; of nothing: nothing |
//! | a folder marked opaque, where there is one below | the folder, then `.wh..wh..opq` |
//! | several names of one inode | one file, hard links to it |
//! | a socket | nothing |
//!
//! These are BuildKit's rules (`util/overlay` and containerd's `fs.Changes`), but that it spells an opaque folder out. Times are in
//! whole seconds, none later than `SOURCE_DATE_EPOCH`; a deletion has no time. What is in the upper folder and not in the layer is
//! removed, so that the folder is the layer's tree, and it is kept as that.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_layer::tree::Tree;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Entry, Kind, LayerIndex, LayerPath};
use rustix::fs::FileType;

use super::beneath::{self, Found, OPAQUE, Root};
use super::lower::{Below, Lower};
use super::plan::{self, Folder};
use super::{ROOT, State, chains, tar};
use serde::{Deserialize, Serialize};

use crate::error::{is_of_bytes, of_entry};
use crate::later::Trees;
use crate::scratch::ScratchFolder;
use crate::{Batch, Store, StoreError};

/// Where the sandbox leaves what was changed.
const UPPER: &str = "upper";
/// Folders in folders; the reader of tars takes no more.
const DEEPEST: usize = 512;
const CHUNK: usize = 64 << 10;

/// What a command left.
pub struct Upper<'a> {
    /// Of [`Store::upper_folder`]; holds `upper/`.
    pub folder: ScratchFolder,
    /// The layers below, the lowest first.
    pub layers: &'a [DiffId],
    /// Their folders, as [`Store::trees`] gave them.
    pub lower: &'a [PathBuf],
    /// No time is later: seconds since 1970.
    pub epoch: Option<u64>,
    /// Whose files are whose.
    pub owners: Owners,
}

/// What the owners of files on disk are in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// The same: for root.
    OnDisk,
    /// All files are ours: those that are in lower layers stay whose they are there, others are theirs.
    One {
        /// In the image.
        user: u64,
        /// In the image.
        group: u64,
    },
    /// Ranges of ids, each on disk, in the image, and how many; users, then groups.
    Ranges(Vec<[u64; 3]>, Vec<[u64; 3]>),
}

/// The layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its index and its tree are in the store.
    pub diff_id: DiffId,
    /// Bytes of its tar.
    pub tar_size: u64,
    /// What it repeats.
    pub doubled: Doubled,
}

/// The layer in a batch that is not finished.
#[derive(Debug)]
pub struct Left {
    /// Its names.
    pub kept: Kept,
    /// What lies in it.
    pub index: LayerIndex,
    /// The folder of its files, one; there until the batch is finished.
    pub files: Trees,
}

/// Files of which only mode, owner or time changed: the layer has their bytes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubled {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Makes a layer of what a command changed, and keeps it: its index, and the folder as its tree.
    ///
    /// # Errors
    /// A disk that says no; a file that no layer can hold (a name that begins with `.wh.`, a link to a target that is no
    /// text, folders nested deeper than 512).
    pub fn keep_upper(&self, upper: Upper<'_>) -> Result<Kept, StoreError> {
        let batch = self.batch();
        let left = self.stage_upper(upper, &batch)?;
        batch.finish()?;
        Ok(left.kept)
    }

    /// The same in a batch.
    ///
    /// # Errors
    /// As [`Store::keep_upper`].
    pub fn stage_upper(&self, upper: Upper<'_>, batch: &Batch<'_>) -> Result<Left, StoreError> {
        let wrapper = self.upper_folder()?;
        let (from, root) = (upper.folder.path().join(UPPER), wrapper.path().join(ROOT));
        fs::rename(&from, &root).map_err(|error| StoreError::disk("moving", &from, 0, error))?;
        let failed = |error: io::Error| match error.downcast::<StoreError>() {
            Ok(ours) => ours,
            Err(error) if is_of_bytes(&error) => StoreError::Unkeepable(error.to_string()),
            Err(error) => StoreError::disk("reading", &root, 0, error),
        };
        let mut walk = Walk::new(self, &upper, &root).map_err(failed)?;
        walk.run().map_err(failed)?;
        let mut writer = LayerWriter::new(io::sink(), Compression::Stored, 0);
        tar::write(&mut walk.root, std::mem::take(&mut walk.entries), &mut writer).map_err(failed)?;
        let (_, written) = writer.finish().map_err(failed)?;
        let name = plan::name(&plan::folder_lines(&walk.implied));
        let kept = Kept { diff_id: written.diff_id, tar_size: written.tar_size, doubled: walk.doubled };
        batch.layer_index(&kept.diff_id, &written.index)?;
        let mut files = Trees::default();
        if self.has_tree(&kept.diff_id, &name)? {
            self.tree_root(&kept.diff_id, &name, &mut files);
        } else {
            let state = State::of(&root, true).map_err(|error| StoreError::disk("reading", &root, 0, error))?;
            files.push(root);
            self.stage_tree(wrapper, &kept.diff_id, &name, state, batch)?;
        }
        let all = chains(upper.layers.iter().copied().chain([kept.diff_id]));
        if let Some(last) = all.last() {
            self.chains.lock().names.insert(*last, name);
        }
        Ok(Left { kept, index: written.index, files })
    }
}

struct Walk<'a> {
    store: &'a Store,
    layers: &'a [DiffId],
    epoch: Option<i64>,
    owners: &'a Owners,
    root: Root,
    lower: Lower,
    /// The files of the lower layers, where somebody asked for them.
    files: Option<Tree>,
    entries: Vec<Entry>,
    /// Folders without an entry.
    implied: BTreeMap<LayerPath, Folder>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64), LayerPath>,
    doubled: Doubled,
}

impl<'a> Walk<'a> {
    fn new(store: &'a Store, upper: &'a Upper<'_>, root: &Path) -> io::Result<Self> {
        Ok(Self {
            store,
            layers: upper.layers,
            epoch: upper.epoch.map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX)),
            owners: &upper.owners,
            root: Root::open(root)?,
            lower: Lower::open(upper.lower)?,
            files: None,
            entries: Vec::new(),
            implied: BTreeMap::new(),
            names: HashMap::new(),
            doubled: Doubled::default(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let root = rustix::io::fcntl_dupfd_cloexec(self.root.as_fd(), 0)?;
        let (found, below) = (Found(rustix::fs::fstat(&root)?), self.lower.root()?);
        let (user, group) = self.owner(&LayerPath::root(), &found, below.is_some())?;
        self.implied.insert(LayerPath::root(), Folder { mode: found.mode(), user, group });
        let merged = self.lower.all();
        self.folder(root.as_fd(), &LayerPath::root(), &merged, 0)
    }

    /// Everything in a folder. What is not in the layer is removed.
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &LayerPath, merged: &[usize], depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            let why = format!("its folders are nested deeper than {DEEPEST}");
            return Err(of_entry(path, io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        for name in beneath::names(folder)? {
            let Some(found) = beneath::look(folder, &name)? else { continue };
            let path = path.join(&name).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let one = self.one(folder, &name, path.clone(), &found, merged, depth);
            one.map_err(|error| of_entry(&path, error))?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: LayerPath,
        found: &Found,
        merged: &[usize],
        depth: usize,
    ) -> io::Result<()> {
        let below = match merged {
            [] => Below::Nothing,
            merged => self.lower.look(path.as_bytes(), merged)?,
        };
        if found.is_whiteout() {
            return match below {
                Below::Nothing => beneath::remove(folder, name),
                _ => {
                    self.entries.push(bare(path, Kind::Whiteout, 0, (0, 0)));
                    Ok(())
                }
            };
        }
        match found.kind() {
            FileType::Socket => beneath::remove(folder, name),
            FileType::Directory => self.inner(folder, name, path, found, below, depth),
            _ => self.file(folder, name, path, found, &below),
        }
    }

    fn inner(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: LayerPath,
        found: &Found,
        below: Below,
        depth: usize,
    ) -> io::Result<()> {
        let inner = beneath::open_folder(folder, name)?;
        tar::forget_origin(inner.as_fd())?;
        let is_opaque = beneath::xattr(inner.as_fd(), OPAQUE)?.is_some_and(|value| value == b"y");
        let (user, group) = self.owner(&path, found, !matches!(below, Below::Nothing))?;
        let (is_same, hides, merged) = match below {
            Below::Folder(lower, merged) => {
                let is_same =
                    same_rights(found, &lower) && !is_opaque && self.same_xattrs(inner.as_fd(), &path, &merged)?;
                (is_same, is_opaque, if is_opaque { Vec::new() } else { merged })
            }
            Below::File(..) | Below::Nothing => (false, false, Vec::new()),
        };
        if !is_same {
            self.entries.push(bare(path.clone(), Kind::Directory, found.mode(), (user, group)));
        }
        if hides {
            self.entries.push(bare(path.clone(), Kind::Opaque, 0, (0, 0)));
        }
        let before = self.entries.len();
        let opened = beneath::Opened::new(inner.as_fd())?;
        self.folder(inner.as_fd(), &path, &merged, depth + 1)?;
        drop(opened);
        if is_same && self.entries.len() == before {
            drop(inner);
            return beneath::remove(folder, name);
        }
        if is_same {
            self.implied.insert(path, Folder { mode: found.mode(), user, group });
        }
        // What was removed in it has changed its time.
        beneath::set_time(inner.as_fd(), b"", self.time(found))
    }

    fn same_xattrs(&self, upper: BorrowedFd<'_>, path: &LayerPath, merged: &[usize]) -> io::Result<bool> {
        let mut here = tar::xattrs_of(upper)?;
        let mut there = match merged.first() {
            Some(first) => tar::xattrs_of(self.lower.folder(*first, path.as_bytes())?.as_fd())?,
            None => Vec::new(),
        };
        here.sort();
        there.sort();
        Ok(here == there)
    }

    fn file(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: LayerPath,
        found: &Found,
        below: &Below,
    ) -> io::Result<()> {
        let is_file = found.kind() == FileType::RegularFile;
        if let Below::File(lower, at) = below
            && self.is_same(folder, name, &path, found, lower, *at)?
        {
            return beneath::remove(folder, name);
        }
        let time = self.time(found);
        if time != found.mtime().0 {
            beneath::set_time(folder, name, time)?;
        }
        let owner = self.owner(&path, found, matches!(below, Below::File(..)))?;
        if found.0.st_nlink > 1 {
            let id = (found.0.st_dev, found.0.st_ino);
            if let Some(first) = self.names.get(&id) {
                let kind = Kind::HardLink(first.clone());
                self.entries.push(bare(path, kind, found.mode(), owner));
                return Ok(());
            }
            self.names.insert(id, path.clone());
        }
        if is_file && matches!(below, Below::File(..)) {
            tar::forget_origin(beneath::handle(folder, OsStr::from_bytes(name))?.as_fd())?;
        }
        let kind = self.kind(folder, name, found)?;
        let mode = if found.kind() == FileType::Symlink { 0o777 } else { found.mode() };
        let mut entry = bare(path, kind, mode, owner);
        if is_file {
            entry.size = found.size();
        }
        self.entries.push(entry);
        Ok(())
    }

    fn kind(&self, folder: BorrowedFd<'_>, name: &[u8], found: &Found) -> io::Result<Kind> {
        let (major, minor) = (rustix::fs::major(found.0.st_rdev), rustix::fs::minor(found.0.st_rdev));
        Ok(match found.kind() {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, OsStr::from_bytes(name), Vec::new())?;
                let target = target.into_string();
                Kind::Symlink(target.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its target is no text"))?)
            }
            FileType::CharacterDevice => Kind::CharacterDevice(major, minor),
            FileType::BlockDevice => Kind::BlockDevice(major, minor),
            FileType::Fifo => Kind::Fifo,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no layer can hold such a file")),
        })
    }

    /// Is the file as the one below? Counts those of which only the rights or the time changed.
    fn is_same(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &LayerPath,
        found: &Found,
        lower: &Found,
        at: usize,
    ) -> io::Result<bool> {
        if found.kind() != lower.kind() || found.size() != lower.size() {
            return Ok(false);
        }
        let (here, there) = (found.mtime(), lower.mtime());
        let may_be = same_rights(found, lower) && found.0.st_nlink == 1 && here.0 == there.0;
        match found.kind() {
            FileType::Symlink if may_be => {
                let target = rustix::fs::readlinkat(folder, OsStr::from_bytes(name), Vec::new())?.into_bytes();
                Ok(here.1 == there.1 && target == self.lower.link(at, path)?)
            }
            FileType::RegularFile => {
                let (mut one, mut other) = (beneath::open_file(folder, name)?, self.lower.read(at, path)?);
                let same_xattrs = || -> io::Result<bool> {
                    let (mut here, mut there) = (tar::xattrs_of(one.as_fd())?, tar::xattrs_of(other.as_fd())?);
                    here.sort();
                    there.sort();
                    Ok(here == there)
                };
                let may_be = may_be && same_xattrs()?;
                // A time with nanoseconds is nobody's but the file's own.
                if may_be && (here.1, there.1) != (0, 0) {
                    return Ok(here.1 == there.1);
                }
                let same = same_content(&mut one, &mut other)?;
                if same && !may_be && found.size() > 0 {
                    self.doubled.files += 1;
                    self.doubled.bytes += found.size();
                }
                Ok(same && may_be)
            }
            _ => Ok(may_be && found.0.st_rdev == lower.0.st_rdev && here.1 == there.1),
        }
    }

    fn time(&self, found: &Found) -> i64 {
        let time = found.mtime().0;
        self.epoch.map_or(time, |epoch| time.min(epoch))
    }

    /// The file's owner in the image.
    fn owner(&mut self, path: &LayerPath, found: &Found, is_below: bool) -> io::Result<(u64, u64)> {
        let (user, group) = (u64::from(found.0.st_uid), u64::from(found.0.st_gid));
        match self.owners {
            Owners::OnDisk => Ok((user, group)),
            Owners::Ranges(users, groups) => Ok((inside(users, user), inside(groups, group))),
            Owners::One { user, group } => {
                let ours = (*user, *group);
                if !is_below {
                    return Ok(ours);
                }
                if self.files.is_none() {
                    self.files = Some(self.store.files_of(self.layers).map_err(StoreError::into_io)?);
                }
                let node = self.files.as_ref().and_then(|files| files.get(path));
                // The root has an entry in few images; it is root's.
                let usual = if path.is_root() { (0, 0) } else { ours };
                Ok(node.map_or(usual, |node| (node.entry.uid, node.entry.gid)))
            }
        }
    }
}

/// An id of the disk, in the image; what is in no range is nobody's.
fn inside(ranges: &[[u64; 3]], id: u64) -> u64 {
    let of = |[disk, image, count]: &[u64; 3]| {
        let step = id.checked_sub(*disk)?;
        (step < *count).then(|| image.saturating_add(step))
    };
    ranges.iter().find_map(of).unwrap_or(65_534)
}

fn same_rights(one: &Found, other: &Found) -> bool {
    (one.0.st_mode, one.0.st_uid, one.0.st_gid) == (other.0.st_mode, other.0.st_uid, other.0.st_gid)
}

fn same_content(one: &mut fs::File, other: &mut fs::File) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let got = fill(one, &mut left)?;
        if got != fill(other, &mut right)? || left.get(..got) != right.get(..got) {
            return Ok(false);
        }
        if got == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut fs::File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
        match file.read(space) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn bare(path: LayerPath, kind: Kind, mode: u32, (uid, gid): (u64, u64)) -> Entry {
    Entry { path, kind, mode, uid, gid, size: 0, crc32: None, offset: 0, package: None }
}
