//! Writing corten.lock: whole or not at all.
//!
//! The new text is written beside the old one and then takes its place. The file beside it has one name, which no image
//! takes in: what a process that was killed has left there does no harm, and the next one replaces it. Who writes holds
//! the folder's lock.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_frontend::ignore::INCOMPLETE_LOCK;
use corten_plan::CortenLock;
use corten_store::StoreError;

use crate::project::CORTEN_LOCK;

/// Writes the lock into the project's folder.
pub fn write(folder: &Path, lock: &CortenLock) -> Result<(), Report> {
    write_named(folder, OsStr::new(CORTEN_LOCK), lock)
}

/// The same under another name.
pub fn write_named(folder: &Path, name: &OsStr, lock: &CortenLock) -> Result<(), Report> {
    let path = folder.join(name);
    let text = lock.text().map_err(|error| Failure::bug(format!("writing {}: {error}", path.display())))?;
    replace(folder, name, text.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::disk("writing", &path, text.len() as u64, error).into()
        }
        _ => Failure::world(format!("writing {}: {error}", path.display()))
            .hint("make the project's folder writable")
            .into(),
    })
}

fn replace(folder: &Path, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let incomplete = folder.join(INCOMPLETE_LOCK);
    let folder_file = File::open(folder)?;
    // Some network file systems lock no folders; two writers at once are rare enough there.
    drop(folder_file.lock());
    match fs::remove_file(&incomplete) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // New: a link of that name, which a stranger's project may hold, is not followed.
    let mut file = File::create_new(&incomplete)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::rename(&incomplete, folder.join(name)));
    if named.is_err() {
        drop(fs::remove_file(&incomplete));
    }
    named.and_then(|()| folder_file.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there_already_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (incomplete, path) = (folder.path().join(INCOMPLETE_LOCK), folder.path().join(CORTEN_LOCK));
        fs::write(&incomplete, "much longer than what comes").unwrap();
        replace(folder.path(), OsStr::new(CORTEN_LOCK), b"short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert!(!incomplete.exists());
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &incomplete).unwrap();
        replace(folder.path(), OsStr::new(CORTEN_LOCK), b"again").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "again");
    }

    #[test]
    fn many_writers_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = |number: usize| number.to_string().repeat(1000 + number);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let folder = folder.path();
                scope.spawn(move || {
                    (0..20).for_each(|_| replace(folder, OsStr::new(CORTEN_LOCK), text(number).as_bytes()).unwrap())
                });
            }
        });
        let found = fs::read_to_string(folder.path().join(CORTEN_LOCK)).unwrap();
        assert!((0..4).any(|number| found == text(number)), "{} bytes", found.len());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
