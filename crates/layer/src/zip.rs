//! A strict reader of zip directories, for wheels.
//!
//! A zip says everything twice: in a local header before each member and in the central directory at the end. Readers
//! that believe different halves see different files in one archive, which is how hostile wheels hide. So both are read
//! and must agree, and whatever wheels have no use for is refused:
//!
//! | refused | why |
//! |---|---|
//! | bytes behind the end record, a second end record in its comment, counts or offsets that do not fit | another reader finds another directory |
//! | local name, method, encryption, CRC or size that differ from the directory; data descriptors too | another reader unpacks something else |
//! | members that overlap, local headers in the gaps between them | quoted overlaps (bombs), hidden members |
//! | two members of one name, a file where another member needs a folder | the last or the first wins, who knows |
//! | absolute, climbing, empty, backslash, drive, NUL, control-character and non-UTF-8 names | they lie elsewhere, or are shown as something else |
//! | links, devices | wheels have none; a link redirects later members |
//! | encryption, methods other than stored and deflate, several disks, patched data | not in wheels |
//! | sizes that deflate cannot give | bombs by declaration |
//!
//! Bytes in front of the first member are allowed (self-extracting wheels exist) if no local header hides in them.
//! Format: PKWARE APPNOTE.TXT 6.3.10. Content is checked when it is read: by [`Archive::content`] here, by
//! [`crate::write::LayerWriter::deflated`] for spliced members.

mod directory;
mod name;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use corten_diagnostic::{Diagnose, Fault};

use self::directory::Record;
use crate::walk::{Claim, Sides, Walker};

/// A zip file whose directory has been read and checked: no links, encryption, unknown methods, duplicate or escaping
/// names, overlaps, or local headers that differ from the directory.
pub struct Archive<R: Read + Seek> {
    source: R,
    members: Vec<Member>,
    /// Where the data of a member begins, by where its local header is.
    data: BTreeMap<u64, u64>,
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

impl Diagnose for ZipError {
    /// Archives are what a server sent.
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused(_) => {
                vec!["the archive is damaged or made to deceive: take another file or version".to_owned()]
            }
            Self::Read(_) => Vec::new(),
        }
    }
}

impl ZipError {
    fn refused<T>(why: impl Into<String>) -> Result<T, Self> {
        Err(Self::Refused(why.into()))
    }

    fn member<T>(name: &str, why: impl std::fmt::Display) -> Result<T, Self> {
        Self::refused(format!("zip member '{}': {why}", name.escape_debug()))
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads and checks the directory and every local header.
    pub fn new(mut source: R) -> Result<Self, ZipError> {
        let directory = directory::read(&mut source)?;
        name::check_together(&directory.records)?;
        let data = directory::check_local_headers(&mut source, &directory)?;
        let members = directory.records.into_iter().filter(|record| !record.folder).map(Record::into_member).collect();
        Ok(Self { source, members, data })
    }

    /// In the order of the directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The raw bytes of a member (deflate stream or stored content), its local header checked against the directory.
    pub fn raw(&mut self, member: &Member) -> Result<impl Read + '_, ZipError> {
        let Some(&data) = self.data.get(&member.header_offset) else {
            return ZipError::member(&member.name, "it is not in this archive");
        };
        self.source.seek(SeekFrom::Start(data))?;
        Ok((&mut self.source).take(member.compressed_size))
    }

    /// The content of a member as it is read, at most its size. Its CRC-32 is not checked: for those who only look.
    pub fn stream(&mut self, member: &Member) -> Result<Box<dyn Read + '_>, ZipError> {
        let raw = self.raw(member)?;
        Ok(match member.deflated {
            true => Box::new(flate2::read::DeflateDecoder::new(raw).take(member.size)),
            false => Box::new(raw.take(member.size)),
        })
    }

    /// The content of a small member, at most `limit` bytes, checked.
    pub fn content(&mut self, member: &Member, limit: u64) -> Result<Vec<u8>, ZipError> {
        if member.size > limit {
            return ZipError::member(&member.name, format_args!("it has {} bytes, more than {limit}", member.size));
        }
        let mut content = Content { bytes: Vec::new(), space: vec![0; 16 * 1024] };
        let mut raw = self.raw(member)?;
        let read = if member.deflated {
            let Member { compressed_size, size, crc32, .. } = *member;
            let claim = Claim { compressed_size, size, crc32 };
            Walker::new()?.walk(&mut raw, &claim, &mut content).map(|_| ())
        } else {
            read_stored(&mut raw, member, &mut content.bytes)
        };
        match read {
            Ok(()) => Ok(content.bytes),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => ZipError::member(&member.name, error),
            Err(error) => Err(error.into()),
        }
    }
}

fn read_stored(raw: &mut impl Read, member: &Member, content: &mut Vec<u8>) -> io::Result<()> {
    raw.read_to_end(content)?;
    if content.len() as u64 == member.size && crc32fast::hash(content) == member.crc32 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "its content does not have the size and CRC-32 of its zip directory",
    ))
}

/// Content in memory; the stream is not wanted.
struct Content {
    bytes: Vec<u8>,
    space: Vec<u8>,
}

impl Sides for Content {
    fn space(&mut self) -> io::Result<&mut [u8]> {
        Ok(&mut self.space)
    }

    fn inflated(&mut self, count: usize) -> io::Result<()> {
        self.bytes.extend_from_slice(&self.space[..count]);
        Ok(())
    }

    fn verbatim(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
