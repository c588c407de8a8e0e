//! Layers to a folder that programs can run in.
//!
//! The layers are our own, so what a folder of links could do to a path is excluded by refusing: no entry may lie behind a
//! link. Owners are not set and set-user-id bits are not kept: in the sandbox there is one user.

use std::fs::{self, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use corten_layer::gzip;
use corten_layer::tar::TarReader;
use corten_oci::{Kind, LayerPath, MediaType};

/// Unpacks a layer over what `root` has.
pub fn unpack(media_type: &MediaType, blob: impl Read, root: &Path) -> io::Result<()> {
    let tar = gzip::reader(media_type, blob)?;
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 16, tar));
    while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
        let path = place(root, &entry.path)?;
        if !matches!(entry.kind, Kind::Directory) {
            replace(&path)?;
        }
        match &entry.kind {
            Kind::Directory => {
                folder(root, &path)?;
                fs::set_permissions(&path, Permissions::from_mode(entry.mode & 0o1777 | 0o700))?;
            }
            Kind::File => {
                let mut file = fs::File::create_new(&path)?;
                io::copy(&mut reader.content(), &mut file)?;
                file.set_permissions(Permissions::from_mode(entry.mode & 0o777 | 0o400))?;
            }
            Kind::Symlink(to) => symlink(to, &path)?,
            Kind::HardLink(to) => fs::hard_link(place(root, to)?, &path)?,
            other => return Err(io::Error::other(format!("/{} is {other:?}, which no build needs", entry.path))),
        }
    }
    Ok(())
}

/// Takes away the file or link of a lower layer that an entry stands in place of.
fn replace(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::Error::other(format!("{} is a folder", path.display()))),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where an entry goes; the folders above it are made.
fn place(root: &Path, path: &LayerPath) -> io::Result<PathBuf> {
    let path = root.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
    if let Some(parent) = path.parent().filter(|parent| parent.starts_with(root)) {
        folder(root, parent)?;
    }
    Ok(path)
}

/// Makes a folder and those above it; none of them may be a link.
pub fn folder(root: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(root).map_err(io::Error::other)?;
    let mut at = root.to_owned();
    for component in below.components() {
        let Component::Normal(name) = component else { return Err(io::Error::other("a path that climbs")) };
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::Error::other(format!("{} is not a folder", at.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&at)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
