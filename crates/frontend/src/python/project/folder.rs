//! The project's folder as a capability: a listing, and small files when they are asked for.

use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};

use super::refusal::{Outcome, Refusal};

/// A project's folder. Whoever implements it has already left out what `.dockerignore` and Corten's own ignore rules keep
/// out of the image, and gives paths relative to the project, with slashes. Names that are no UTF-8 are given lossily.
pub trait Folder {
    /// Everything below the project, in any order. Links are listed, never followed; `.git` may be left out.
    ///
    /// # Errors
    /// When the disk fails.
    fn entries(&self) -> Result<Vec<Listed>, Failure>;

    /// The bytes of one regular file that was listed.
    ///
    /// # Errors
    /// When the disk fails or the file is longer than `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure>;
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the project: `src/app/__init__.py`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What an entry of a listing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// May its owner execute it?
        executable: bool,
    },
    /// A folder. Those with something in them need no entry.
    Folder,
    /// A symbolic link with its text.
    Link {
        /// As it stands in the link: `../shared/data`.
        to: String,
    },
}

/// Bytes of a text that is read: longer ones are refused. Real `pyproject.toml`s have at most some hundred kilobytes.
pub(super) const TEXT_LIMIT: u64 = 4 << 20;

/// A text of the project.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// As the user knows it.
    pub path: PathBuf,
    pub text: Arc<str>,
}

impl Text {
    pub fn line(&self, line: usize) -> Span {
        Span::line_of(&self.path, Arc::clone(&self.text), line)
    }

    pub fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(&self.path, Arc::clone(&self.text), range)
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Reads a file as UTF-8, without a byte order mark.
pub(super) fn read_text(folder: &dyn Folder, source: &str, shown: PathBuf) -> Outcome<Text> {
    let bytes = folder.read(source, TEXT_LIMIT).map_err(|failure| Refusal::unreadable(&failure))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| Refusal::broken(format!("{}: {error}", shown.display())).hint("save the file as UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(Text { path: shown, text: Arc::from(text) })
}
