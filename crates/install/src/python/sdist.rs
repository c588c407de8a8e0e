//! Unpacks source distributions into a folder of our own.
//!
//! They come from anywhere, so what two readers could read in two ways is refused, and more:
//!
//! | met | done |
//! |---|---|
//! | what the strict readers of tar and zip refuse | refused |
//! | an entry outside of the one folder that an sdist has | refused |
//! | devices, named pipes, hard links to what did not come before | refused |
//! | a symbolic link | made when all files are there, so nothing is ever written through one; one that leaves is refused |
//! | anything below a symbolic link | refused: links of links may lead anywhere |
//! | a file twice | the later one stands, as for `tarfile` |
//! | owners, setuid, odd modes | not taken: 0755 for what its owner may execute, else 0644 |
//! | more than 200,000 entries or 4 GiB | refused |
//!
//! Source of the format: PyPA, source distribution format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::gzip;
use corten_layer::tar::{TarError, TarReader};
use corten_layer::zip::{Archive, ZipError};
use corten_oci::{Kind, LayerPath, MediaType};

use super::wheel::MTIME;

/// Entries of one sdist; the largest of PyPI have some ten thousand.
const MOST_ENTRIES: usize = 200_000;
/// Bytes of all files of one sdist.
const MOST_BYTES: u64 = 4 << 30;
/// Bytes of one member of a zip, which is read into memory.
const LONGEST_MEMBER: u64 = 256 << 20;

/// Endings of the names of sdists that are read.
pub const ENDINGS: [&str; 3] = [".tar.gz", ".tgz", ".zip"];

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The project's folder.
    pub folder: PathBuf,
    /// Below it, by path.
    pub entries: BTreeMap<String, SdistEntry>,
}

/// One entry of an sdist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdistEntry {
    /// A regular file.
    File {
        /// May its owner execute it?
        executable: bool,
        /// Bytes.
        size: u64,
    },
    /// A symbolic link with its text.
    Link(String),
}

/// Why an sdist is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum SdistError {
    /// It is not one, or one that hides something.
    #[error("unpacking {file}: {why}")]
    Refused {
        /// Its name.
        file: String,
        /// Why.
        why: String,
    },
    /// The disk.
    #[error("unpacking {file} to {path}: {source}")]
    Disk {
        /// Its name.
        file: String,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnose for SdistError {
    fn fault(&self) -> Fault {
        match self {
            Self::Refused { .. } => Fault::Input,
            Self::Disk { .. } => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused { .. } => vec!["lock another version of the package, or tell its maintainers".to_owned()],
            Self::Disk { .. } => Vec::new(),
        }
    }
}

/// Unpacks `source`, an sdist whose name is `file`, into `folder`, which is empty and nobody else's.
///
/// # Errors
/// [`SdistError::Refused`] for everything in the module's table, and for a kind of archive that is not read.
pub fn unpack(source: File, file: &str, folder: &Path) -> Result<Unpacked, SdistError> {
    let mut unpacking = Unpacking {
        file,
        folder,
        top: None,
        entries: BTreeMap::new(),
        links: Vec::new(),
        count: 0,
        bytes: 0,
        most: MOST_BYTES,
    };
    match ENDINGS.iter().find(|ending| file.ends_with(**ending)) {
        Some(&".zip") => unpacking.zip(source)?,
        Some(_) => unpacking.tar(source)?,
        None => return Err(unpacking.refused("only .tar.gz and .zip are read")),
    }
    unpacking.finish()
}

struct Unpacking<'a> {
    file: &'a str,
    folder: &'a Path,
    /// The one folder that everything lies in.
    top: Option<String>,
    entries: BTreeMap<String, SdistEntry>,
    /// Path in the archive and text, made last.
    links: Vec<(String, String)>,
    count: usize,
    bytes: u64,
    most: u64,
}

impl Unpacking<'_> {
    fn tar(&mut self, source: File) -> Result<(), SdistError> {
        let gunzip = gzip::reader(&MediaType::LAYER_GZIP.into(), source).map_err(|error| self.refused(error))?;
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 16, gunzip));
        while let Some(entry) = reader.next_entry().map_err(|error| self.tar_error(&error))? {
            let path = self.place(&entry.path)?;
            match entry.kind {
                Kind::File => {
                    let modified = u64::try_from(reader.mtime()).unwrap_or(MTIME).max(MTIME);
                    self.write(&path, entry.mode, entry.size, modified, &mut reader.content())?;
                }
                Kind::Directory => self.make_folder(&self.folder.join(&path))?,
                Kind::Symlink(to) => self.links.push((path, to)),
                Kind::HardLink(to) => self.hard_link(&path, &to)?,
                Kind::CharacterDevice(..) | Kind::BlockDevice(..) | Kind::Fifo | Kind::Whiteout | Kind::Opaque => {
                    return Err(self.refused(format!("'{path}' is neither a file nor a folder nor a link")));
                }
            }
        }
        Ok(())
    }

    fn tar_error(&self, error: &TarError) -> SdistError {
        self.refused(error)
    }

    fn zip(&mut self, source: File) -> Result<(), SdistError> {
        let refused =
            |file: &str, error: ZipError| SdistError::Refused { file: file.to_owned(), why: error.to_string() };
        let mut archive = Archive::new(source).map_err(|error| refused(self.file, error))?;
        for member in archive.members().to_vec() {
            let path = LayerPath::new(&member.name).map_err(|error| self.refused(error))?;
            let path = self.place(&path)?;
            let content = archive.content(&member, LONGEST_MEMBER).map_err(|error| refused(self.file, error))?;
            self.write(&path, member.mode.unwrap_or(0o644), member.size, MTIME, &mut content.as_slice())?;
        }
        Ok(())
    }

    /// Counts an entry and checks where it lies. The top folder itself gives itself.
    fn place(&mut self, path: &LayerPath) -> Result<String, SdistError> {
        self.count += 1;
        if self.count > MOST_ENTRIES {
            return Err(self.refused(format!("it has more than {MOST_ENTRIES} entries")));
        }
        let path = std::str::from_utf8(path.as_bytes()).map_err(|_| self.refused(format!("'{path}' is not UTF-8")))?;
        let first = path.split('/').next().unwrap_or_default();
        let top = self.top.get_or_insert_with(|| first.to_owned());
        if top != first || first.is_empty() {
            let why =
                format!("'{}' does not lie in the one folder that a source distribution has", path.escape_debug());
            return Err(self.refused(why));
        }
        Ok(path.to_owned())
    }

    fn write(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        modified: u64,
        content: &mut dyn Read,
    ) -> Result<(), SdistError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.most {
            return Err(self.refused(format!("its files have more than {} bytes", self.most)));
        }
        let executable = mode & 0o100 != 0;
        let mut file = self.create(path)?;
        let target = self.folder.join(path);
        let copied = copy(content, &mut file).map_err(|(side, error)| match side {
            Side::Source => self.refused(format!("'{path}': {error}")),
            Side::Disk => self.disk(&target, error),
        })?;
        if copied != size {
            return Err(self.refused(format!("'{path}' has {copied} bytes, not {size}")));
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(modified.min(u64::from(u32::MAX)));
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode)).map_err(|error| self.disk(&target, error))?;
        file.set_modified(time).map_err(|error| self.disk(&target, error))?;
        self.entries.insert(path.to_owned(), SdistEntry::File { executable, size });
        Ok(())
    }

    /// A new file; one of this name that came before is replaced.
    fn create(&mut self, path: &str) -> Result<File, SdistError> {
        let target = self.folder.join(path);
        if let Some(parent) = target.parent() {
            self.make_folder(parent)?;
        }
        if self.entries.remove(path).is_some() {
            fs::remove_file(&target).map_err(|error| self.disk(&target, error))?;
        }
        File::create_new(&target).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(format!("'{path}' is both a folder and a file")),
            _ => self.disk(&target, error),
        })
    }

    fn make_folder(&self, path: &Path) -> Result<(), SdistError> {
        fs::create_dir_all(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                let below = path.strip_prefix(self.folder).unwrap_or(path);
                self.refused(format!("'{}' is both a file and a folder", below.display()))
            }
            _ => self.disk(path, error),
        })
    }

    /// A copy: a change of one name never changes the other.
    fn hard_link(&mut self, path: &str, to: &LayerPath) -> Result<(), SdistError> {
        let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
        let Some(&SdistEntry::File { executable, size }) = self.entries.get(&to) else {
            return Err(self.refused(format!("'{path}' is a hard link to '{to}', which did not come before it")));
        };
        let from = self.folder.join(&to);
        let reading = |error| SdistError::Disk { file: self.file.to_owned(), path: from.clone(), source: error };
        let mut source = File::open(&from).map_err(reading)?;
        let mode = if executable { 0o755 } else { 0o644 };
        if to == path {
            return Ok(());
        }
        self.write(path, mode, size, MTIME, &mut source)
    }

    fn finish(mut self) -> Result<Unpacked, SdistError> {
        let Some(top) = self.top.clone() else { return Err(self.refused("it is empty")) };
        let links = std::mem::take(&mut self.links);
        let names: BTreeSet<&str> = links.iter().map(|(path, _)| path.as_str()).collect();
        for (path, to) in &links {
            if path.match_indices('/').any(|(end, _)| path.get(..end).is_some_and(|above| names.contains(above))) {
                return Err(self.refused(format!("'{path}' lies below a link")));
            }
            if !stays(path, to) {
                return Err(self.refused(format!("the link '{path}' leaves it: '{}'", to.escape_debug())));
            }
            let target = self.folder.join(path);
            if let Some(parent) = target.parent() {
                self.make_folder(parent)?;
            }
            symlink(to, &target).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => self.refused(format!("'{path}' is there twice, once as a link")),
                _ => self.disk(&target, error),
            })?;
            self.entries.insert(path.clone(), SdistEntry::Link(to.clone()));
        }
        let folder = self.folder.join(&top);
        if !folder.is_dir() {
            return Err(self.refused("it is one file, not a folder of files"));
        }
        let inside =
            |(path, entry): (String, SdistEntry)| Some((path.strip_prefix(&top)?.strip_prefix('/')?.to_owned(), entry));
        Ok(Unpacked { folder, entries: self.entries.into_iter().filter_map(inside).collect() })
    }

    fn refused(&self, why: impl std::fmt::Display) -> SdistError {
        SdistError::Refused { file: self.file.to_owned(), why: why.to_string() }
    }

    fn disk(&self, path: &Path, source: io::Error) -> SdistError {
        SdistError::Disk { file: self.file.to_owned(), path: path.to_owned(), source }
    }
}

/// Does a link at `path`, followed as text, stay in the top folder? Links of links are not followed here: whoever reads
/// the folder looks at each step.
fn stays(path: &str, to: &str) -> bool {
    let mut depth = path.split('/').count().saturating_sub(2);
    if to.starts_with('/') || to.is_empty() {
        return false;
    }
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

enum Side {
    Source,
    Disk,
}

fn copy(source: &mut dyn Read, target: &mut File) -> Result<u64, (Side, io::Error)> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let count = source.read(&mut buffer).map_err(|error| (Side::Source, error))?;
        if count == 0 {
            return Ok(copied);
        }
        target.write_all(buffer.get(..count).unwrap_or_default()).map_err(|error| (Side::Disk, error))?;
        copied += count as u64;
    }
}
