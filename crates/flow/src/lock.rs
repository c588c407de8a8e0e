//! Writing corten.lock: whole or not at all.

use std::io::Write;
use std::path::Path;

use corten_diagnostic::Failure;
use corten_plan::CortenLock;

use crate::project::CORTEN_LOCK;

/// Writes the lock into the project's folder.
pub fn write(folder: &Path, lock: &CortenLock) -> Result<(), Failure> {
    let path = folder.join(CORTEN_LOCK);
    let text = lock.text().map_err(|error| Failure::bug(format!("writing corten.lock: {error}")))?;
    let failed = |error: std::io::Error| {
        Failure::world(format!("writing {}: {error}", path.display())).hint("make the project's folder writable")
    };
    let partial = folder.join(format!(".{CORTEN_LOCK}.{}", std::process::id()));
    let mut file = std::fs::File::create(&partial).map_err(failed)?;
    let result =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&partial, &path));
    result.map_err(|error| {
        drop(std::fs::remove_file(&partial));
        failed(error)
    })
}
