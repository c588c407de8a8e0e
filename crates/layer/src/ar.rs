//! A strict reader of ar archives, for .deb files.
use std::io::Read;

/// Reads members one after another.
pub struct ArReader<R: Read> {
    #[expect(dead_code)]
    source: R,
}

/// Why an ar archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// A rule is broken.
    #[error("{0}")]
    Refused(String),
    /// The source failed.
    #[error("reading ar: {0}")]
    Read(#[from] std::io::Error),
}

impl<R: Read> ArReader<R> {
    /// Reads the magic.
    pub fn new(_source: R) -> Result<Self, ArError> {
        todo!()
    }

    /// The next member's name (trailing `/` taken off) and size; content by [`ArReader::content`].
    pub fn next_member(&mut self) -> Result<Option<(String, u64)>, ArError> {
        todo!()
    }

    /// The content of the member that was last returned.
    pub fn content(&mut self) -> impl Read + '_ {
        std::io::empty()
    }
}
