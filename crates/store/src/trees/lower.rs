//! What overlayfs shows below an upper folder, looked up in the lower folders themselves.
//!
//! For each folder of the upper it is known which lower folders merge in it; a new one has none, so what a command made
//! costs no look-up at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use corten_oci::LayerPath;

use super::beneath::{self, Found, OPAQUE, Root};

/// The lower folders, the uppermost first.
pub(super) struct Lower(Vec<Root>);

/// The lower folders that one folder is made of, by their places.
pub(super) type Merged = Vec<usize>;

/// What is below a name.
pub(super) enum Below {
    Nothing,
    /// A folder, made of these; the first says what it is.
    Folder(Found, Merged),
    /// Anything else, and where.
    File(Found, usize),
}

impl Lower {
    pub(super) fn open(folders: &[PathBuf]) -> io::Result<Self> {
        Ok(Self(folders.iter().map(|folder| Root::open(folder)).collect::<io::Result<_>>()?))
    }

    /// Below the root.
    pub(super) fn all(&self) -> Merged {
        (0..self.0.len()).collect()
    }

    /// What the root would be.
    pub(super) fn root(&self) -> io::Result<Option<Found>> {
        self.0.first().map(|root| Ok(Found(rustix::fs::fstat(root.as_fd())?))).transpose()
    }

    /// What is at `path`, whose parent is made of `merged`.
    pub(super) fn look(&self, path: &[u8], merged: &[usize]) -> io::Result<Below> {
        let (mut first, mut folders) = (None, Vec::new());
        for &at in merged {
            let Some(root) = self.0.get(at) else { continue };
            match beneath::look_below(root.as_fd(), path)? {
                None => {}
                Some(found) if found.is_folder() => {
                    first.get_or_insert(found);
                    folders.push(at);
                    let folder = beneath::open_folder(root.as_fd(), path)?;
                    if beneath::xattr(folder.as_fd(), OPAQUE)?.is_some_and(|value| value == b"y") {
                        break;
                    }
                }
                Some(found) => {
                    return Ok(match first {
                        Some(first) => Below::Folder(first, folders),
                        None if found.is_whiteout() => Below::Nothing,
                        None => Below::File(found, at),
                    });
                }
            }
        }
        Ok(first.map_or(Below::Nothing, |first| Below::Folder(first, folders)))
    }

    /// One of the folders that a folder is made of.
    pub(super) fn folder(&self, at: usize, path: &[u8]) -> io::Result<OwnedFd> {
        beneath::open_folder(self.0.get(at).ok_or(io::ErrorKind::NotFound)?.as_fd(), path)
    }

    pub(super) fn read(&mut self, at: usize, path: &LayerPath) -> io::Result<File> {
        self.0.get_mut(at).ok_or(io::ErrorKind::NotFound)?.read(path)
    }

    pub(super) fn link(&mut self, at: usize, path: &LayerPath) -> io::Result<Vec<u8>> {
        let parent = self.0.get_mut(at).ok_or(io::ErrorKind::NotFound)?.parent(path)?;
        Ok(rustix::fs::readlinkat(parent, OsStr::from_bytes(path.name()), Vec::new())?.into_bytes())
    }
}
