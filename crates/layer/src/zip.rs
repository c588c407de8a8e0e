//! A strict reader of zip directories, for wheels.
use std::io::{self, Read, Seek};

/// A zip file whose directory has been read and checked: no links, encryption, unknown methods, duplicate or escaping
/// names, overlaps, or local headers that differ from the directory.
pub struct Archive<R: Read + Seek> {
    #[expect(dead_code)]
    source: R,
    members: Vec<Member>,
}

/// One file of a zip. Directory members are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `/`-separated, relative, no `.` or `..`.
    pub name: String,
    /// Is it deflated, or stored?
    pub deflated: bool,
    /// Bytes in the zip.
    pub compressed_size: u64,
    /// Bytes of content.
    pub size: u64,
    /// Of the content.
    pub crc32: u32,
    /// Unix permission bits, where the zip was made on Unix.
    pub mode: Option<u32>,
    /// Where its local header is.
    pub header_offset: u64,
}

/// Why a zip is refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// A rule is broken.
    #[error("{0}")]
    Refused(String),
    /// The source failed.
    #[error("reading zip: {0}")]
    Read(#[from] io::Error),
}

impl<R: Read + Seek> Archive<R> {
    /// Reads and checks the directory.
    pub fn new(_source: R) -> Result<Self, ZipError> {
        todo!()
    }

    /// In the order of the directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The raw bytes of a member (deflate stream or stored content), its local header checked against the directory.
    pub fn raw(&mut self, _member: &Member) -> Result<impl Read + '_, ZipError> {
        Ok(std::io::empty())
    }

    /// The content of a small member, at most `limit` bytes, checked.
    pub fn content(&mut self, _member: &Member, _limit: u64) -> Result<Vec<u8>, ZipError> {
        todo!()
    }
}
