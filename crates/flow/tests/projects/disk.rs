//! A folder of the disk, as the projects of this test are given.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_frontend::python::project::{Folder, Kind, Listed};

pub struct Disk(PathBuf);

impl Disk {
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    fn list(&self, folder: &Path, listed: &mut Vec<Listed>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let relative = path.strip_prefix(&self.0).unwrap_or(&path).to_string_lossy().into_owned();
            let kind = if kind.is_dir() {
                self.list(&path, listed)?;
                Kind::Folder
            } else if kind.is_symlink() {
                Kind::Link { to: fs::read_link(&path)?.to_string_lossy().into_owned() }
            } else {
                Kind::File { executable: entry.metadata()?.permissions().mode() & 0o100 != 0 }
            };
            listed.push(Listed { path: relative, kind });
        }
        Ok(())
    }
}

impl Folder for Disk {
    fn entries(&self) -> Result<Vec<Listed>, Failure> {
        let mut listed = Vec::new();
        self.list(&self.0, &mut listed).map_err(|error| Failure::world(error.to_string()))?;
        Ok(listed)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let file = fs::File::open(self.0.join(path)).map_err(|error| Failure::world(format!("{path}: {error}")))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::world(format!("{path}: {error}")))?;
        Ok(bytes)
    }
}
