//! The one strict reader of tar: ustar, PAX, GNU long names.
use std::io::Read;

use corten_oci::Entry;

/// Reads entries one after another.
pub struct TarReader<R: Read> {
    #[expect(dead_code)]
    source: R,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes are not a tar that may be trusted.
    #[error("tar entry {number} at byte {offset}: {why}")]
    Refused {
        /// Counted from 0.
        number: u64,
        /// Of its header, in the uncompressed archive.
        offset: u64,
        /// Which rule it breaks.
        why: String,
    },
    /// The source failed.
    #[error("reading tar: {0}")]
    Read(#[from] std::io::Error),
}

impl<R: Read> TarReader<R> {
    /// Reads from the start of an uncompressed archive.
    pub fn new(source: R) -> Self {
        Self { source }
    }

    /// The next entry; its content must be taken from [`TarReader::content`] before the next call, else it is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        todo!()
    }

    /// The modification time (seconds) of the entry that was last returned.
    pub fn mtime(&self) -> i64 {
        todo!()
    }

    /// The content of the entry that was last returned.
    pub fn content(&mut self) -> impl Read + '_ {
        std::io::empty()
    }
}
