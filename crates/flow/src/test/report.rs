//! The JUnit report: written by the tests in a folder of theirs, copied to a place of the user's.
//!
//! What lies there was made by whatever the tests ran: it is opened as a plain file or not at all, and read up to a bound.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_run::VolumeSource;
use corten_store::{ScratchFolder, Store};

use crate::run::VolumeOption;

/// Where the folder is mounted.
const FOLDER: &str = "/run/corten";
/// Where the tests write it.
pub(super) const INSIDE: &str = "/run/corten/junit.xml";
/// Bytes that are copied at most.
const LARGEST: u64 = 256 << 20;

/// A report to be.
pub(super) struct Junit {
    place: PathBuf,
    scratch: ScratchFolder,
}

impl Junit {
    pub(super) fn new(place: PathBuf, store: &Store) -> Result<Self, Failure> {
        let scratch = store.scratch_folder().map_err(|error| Failure::world(error.to_string()))?;
        let folder = scratch.path().join("report");
        // The tests run as the image's user, whatever his number is here; nobody else comes through the folder above.
        let made = fs::set_permissions(scratch.path(), Permissions::from_mode(0o700))
            .and_then(|()| fs::create_dir(&folder))
            .and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(0o1777)));
        made.map_err(|error| Failure::world(format!("making {}: {error}", folder.display())))?;
        Ok(Self { place, scratch })
    }

    pub(super) fn mount(&self) -> VolumeOption {
        let source = VolumeSource::Path(self.scratch.path().join("report"), false);
        VolumeOption { source, target: FOLDER.into(), is_read_only: false }
    }

    /// Copies it: a sentence about it.
    pub(super) fn keep(&self) -> Result<String, Failure> {
        let shown = self.place.display();
        let written = self.scratch.path().join("report/junit.xml");
        // O_NONBLOCK: nobody may ever write to a pipe.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = File::options().read(true).custom_flags(flags.bits() as i32).open(&written);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(format!("the tests wrote no JUnit report: pytest does by itself, others to {INSIDE}"));
            }
            Err(error) => return Ok(format!("the JUnit report cannot be read: {error}")),
        };
        let kind = file.metadata().map_err(|error| Failure::world(format!("reading the JUnit report: {error}")))?;
        if !kind.is_file() || kind.len() > LARGEST {
            return Ok(format!("what the tests wrote to {INSIDE} is no report: no file, or one of more than 256 MiB"));
        }
        copy(file, &self.place).map_err(|error| Failure::world(format!("writing {shown}: {error}")))?;
        Ok(format!("JUnit report: {shown}"))
    }
}

/// Whoever looks sees the old one or the new one, whole.
fn copy(from: impl Read, to: &Path) -> io::Result<()> {
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let incomplete = incomplete(folder);
    match fs::remove_file(&incomplete) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // New: a link or a pipe of that name, which the tests may have put there, is neither followed nor waited for.
    let mut file = File::create_new(&incomplete)?;
    let written = io::copy(&mut from.take(LARGEST), &mut file);
    let named = written.and_then(|_| fs::rename(&incomplete, to));
    if named.is_err() {
        drop(fs::remove_file(&incomplete));
    }
    named
}

fn incomplete(folder: &Path) -> PathBuf {
    folder.join(format!(".junit.{}.incomplete", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no more"))
        }
    }

    #[test]
    fn what_lies_at_the_place_is_replaced_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let (to, partial) = (folder.path().join("junit.xml"), incomplete(folder.path()));
        rustix::fs::mkfifoat(rustix::fs::CWD, &partial, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        copy(&b"first"[..], &to).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &partial).unwrap();
        copy(&b"second"[..], &to).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        copy(Broken, &to).unwrap_err();
        assert_eq!(fs::read_to_string(&to).unwrap(), "second");
        let full = folder.path().join("folder");
        fs::create_dir(&full).unwrap();
        copy(&b"third"[..], &full).unwrap_err();
        assert!(!partial.exists() && fs::symlink_metadata(&partial).is_err());
    }
}
