//! The JUnit report: written by the tests in a folder of theirs, copied to a place of the user's.
//!
//! What lies there was made by whatever the tests ran: it is opened as a plain file or not at all, and read up to a bound.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
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
fn copy(from: File, to: &Path) -> io::Result<()> {
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = tempfile_in(folder)?;
    io::copy(&mut from.take(LARGEST), &mut file.0)?;
    file.0.flush()?;
    fs::rename(&file.1, to).inspect_err(|_| {
        let _ = fs::remove_file(&file.1);
    })
}

fn tempfile_in(folder: &Path) -> io::Result<(File, PathBuf)> {
    let path = folder.join(format!(".junit.{}.incomplete", std::process::id()));
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(&path)?;
    Ok((file, path))
}
