//! Reading a file of a folder that somebody else may have made: under its name may lie a pipe, on which a reader waits for ever,
//! or a link to a device, which has no end.
//!
//! What a user names himself may be either (`--config <(…)`), and is not read here.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use corten_diagnostic::Failure;
use rustix::fs::OFlags;

/// Bytes that a text of a project may have: the longest locks have some.
const LARGEST: u64 = 64 << 20;

/// The bytes of a file; none where there is none.
///
/// # Errors
/// Input where there is something else, or more than 64 MB; world where it cannot be read.
pub fn bytes(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(path, &error)),
    }
}

/// What to say where [`open`] or [`read`] have failed.
pub fn failure(path: &Path, error: &io::Error) -> Failure {
    let text = format!("reading {}: {error}", path.display());
    // Ours: the kernel's have a number.
    match error.raw_os_error() {
        None => Failure::input(text).hint("a file with text is expected there, or nothing"),
        Some(_) => Failure::world(text),
    }
}

/// All of a file.
///
/// # Errors
/// As [`open`], and where it has more than 64 MB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(other(&format!("it is larger than {} MB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Opens a file, through links too.
///
/// # Errors
/// Those of the kernel, and one of its own where there is neither a file nor a folder.
pub fn open(path: &Path) -> io::Result<File> {
    // Asked before, as some devices act when they are opened, and after, as it may be another one by then.
    only_file(std::fs::metadata(path)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    only_file(file.metadata()?.file_type())?;
    Ok(file)
}

fn only_file(found: FileType) -> io::Result<()> {
    match found {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(rustix::io::Errno::ISDIR.into()),
        kind if kind.is_fifo() => Err(other("it is a named pipe, no file")),
        kind if kind.is_socket() => Err(other("it is a socket, no file")),
        _ => Err(other("it is a device, no file")),
    }
}

fn other(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use corten_diagnostic::{Diagnose, Fault};

    use super::*;

    #[test]
    fn pipes_devices_and_sockets_are_refused_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        for (name, target) in [("zero", "/dev/zero"), ("far", "pipe"), ("near", "text"), ("lost", "nothing")] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        std::fs::write(at("text"), "x").unwrap();
        for (name, what) in [("pipe", "named pipe"), ("far", "named pipe"), ("socket", "socket"), ("zero", "device")] {
            let failure = bytes(&at(name)).unwrap_err();
            assert_eq!(failure.fault(), Fault::Input);
            assert_eq!(failure.to_string(), format!("reading {}: it is a {what}, no file", at(name).display()));
        }
        assert_eq!(bytes(&at("near")).unwrap().unwrap(), b"x");
        assert_eq!((bytes(&at("lost")).unwrap(), bytes(&at("nothing")).unwrap()), (None, None));
        let failure = bytes(folder.path()).unwrap_err();
        assert_eq!(failure.fault(), Fault::World);
        assert!(failure.to_string().ends_with(": Is a directory (os error 21)"), "{failure}");
    }

    #[test]
    fn nothing_is_read_without_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        File::create(&path).unwrap().set_len(LARGEST).unwrap();
        assert_eq!(bytes(&path).unwrap().unwrap().len() as u64, LARGEST);
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let failure = bytes(&path).unwrap_err();
        assert_eq!(failure.to_string(), format!("reading {}: it is larger than 64 MB", path.display()));
    }
}
