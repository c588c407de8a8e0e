//! What git leaves out of a folder that is looked through: `.gitignore` of each folder from the repository's top on, and
//! `.git/info/exclude`. Outside of a repository nothing is, as with ripgrep and ruff; nor is what somebody names.

use std::path::Path;

use corten_diagnostic::Failure;
use corten_frontend::python::project::{IgnoreFile, Ignored, IsFolder};

use crate::git::ignore_files_above;
use crate::regular;

/// Goes along with whoever looks through a folder.
#[derive(Default)]
pub(super) struct GitIgnore {
    /// None outside of a repository.
    ignored: Option<Ignored>,
}

impl GitIgnore {
    /// What holds in a folder because of those above it.
    ///
    /// # Errors
    /// Input where a pipe, a device or a file without an end has the name of one; world where one cannot be read.
    pub(super) fn of(root: &Path) -> Result<Self, Failure> {
        let Ok(real) = root.canonicalize() else { return Ok(Self::default()) };
        let Some(top) = real.ancestors().find(|above| above.join(".git").exists()) else { return Ok(Self::default()) };
        let inside = real.strip_prefix(top).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
        let exclude = text_of(&top.join(".git/info/exclude"))?.map(|text| IgnoreFile { inside, text });
        let above = ignore_files_above(&real)?;
        Ok(Self { ignored: Some(Ignored::above(exclude.iter().chain(&above))) })
    }

    /// Goes into a folder; `below` is its path from the root on.
    ///
    /// # Errors
    /// As [`GitIgnore::of`].
    pub(super) fn enter(&mut self, folder: &Path, below: &str) -> Result<(), Failure> {
        if let Some(ignored) = &mut self.ignored {
            ignored.enter(below, &text_of(&folder.join(".gitignore"))?.unwrap_or_default());
        }
        Ok(())
    }

    /// Leaves the folder that it went into last.
    pub(super) fn leave(&mut self) {
        self.ignored.iter_mut().for_each(Ignored::leave);
    }

    /// Does git leave a path out?
    pub(super) fn leaves_out(&self, path: &str, kind: IsFolder) -> bool {
        self.ignored.as_ref().is_some_and(|ignored| ignored.leaves_out(path, kind))
    }
}

/// All of a file; none where there is no such file.
fn text_of(path: &Path) -> Result<Option<String>, Failure> {
    match regular::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        // A folder of that name, or one above that is closed to us.
        Err(error) if error.raw_os_error().is_some() && !path.is_file() => Ok(None),
        Err(error) => Err(regular::failure(path, &error)),
    }
}
