//! Writing a file of a project: whole or not at all, and never over something that nobody has seen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_diagnostic::Failure;
use corten_frontend::ignore::INCOMPLETE_SETTINGS as INCOMPLETE;

use super::Change;
use crate::regular;

/// Writes one.
pub fn write(folder: &Path, change: &Change) -> Result<(), Failure> {
    let path = folder.join(&change.name);
    let failed = |error: io::Error| {
        Failure::world(format!("writing {}: {error}", path.display())).hint("make the project's folder writable")
    };
    match &change.before {
        None => create(&path, &change.after).map_err(failed),
        Some(before) => {
            let found = regular::read(&path).map_err(failed)?;
            if strip(&found) != before.as_bytes() {
                return Err(Failure::world(format!("writing {}: it has changed meanwhile", path.display()))
                    .hint("run `corten init` again"));
            }
            replace(folder, &path, &change.after).map_err(failed)
        }
    }
}

/// Texts are read without a byte order mark.
fn strip(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// A file of that name, or a link, is an error.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        drop(fs::remove_file(path));
    }
    written
}

fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let incomplete = folder.join(INCOMPLETE);
    match fs::remove_file(&incomplete) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let permissions = fs::metadata(path)?.permissions();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&incomplete)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.set_permissions(permissions));
    let named = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&incomplete, path));
    if named.is_err() {
        drop(fs::remove_file(&incomplete));
    }
    named.and_then(|()| File::open(folder)?.sync_all())
}
