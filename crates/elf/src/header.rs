//! The file header and the program headers.

use crate::{ElfError, MAGIC};

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_DYNAMIC: u32 = 2;
pub(crate) const PT_INTERP: u32 = 3;

const HEADER_SIZE: usize = 64;
const SEGMENT_SIZE: u16 = 56;
/// `PN_XNUM`: the true count is in a section header. Only core files have so many.
const MANY_SEGMENTS: u16 = 0xffff;

/// For which processor a file is (`e_machine`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// amd64.
    X86_64,
    /// arm64.
    Aarch64,
    /// Another, by its number.
    Other(u16),
}

/// For which processor a file is, of any class and byte order (`e_machine`), from its first 20 bytes.
pub fn machine(head: &[u8]) -> Option<u16> {
    let &[first, second] = head.get(18..20)? else { return None };
    match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', _, 1] => Some(u16::from_le_bytes([first, second])),
        [0x7f, b'E', b'L', b'F', _, 2] => Some(u16::from_be_bytes([first, second])),
        _ => None,
    }
}

/// What a file is for (`e_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `ET_REL`: input of the linker.
    Relocatable,
    /// `ET_EXEC`: a program at a fixed address.
    Executable,
    /// `ET_DYN`: a library, or a program at any address.
    Dynamic,
    /// `ET_CORE` and others, by number.
    Other(u16),
}

/// What is read of the file header.
pub(crate) struct Header {
    pub(crate) machine: Machine,
    pub(crate) kind: ObjectKind,
    segments_at: u64,
    segment_size: u16,
    segment_count: u16,
}

/// One program header.
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ElfError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ElfError::NotElf);
        }
        let header = bytes.get(..HEADER_SIZE).ok_or(ElfError::Outside { what: "the file header" })?;
        if header[4] != 2 || header[5] != 1 {
            return Err(ElfError::Unsupported);
        }
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        Ok(Self {
            kind: match word(16) {
                1 => ObjectKind::Relocatable,
                2 => ObjectKind::Executable,
                3 => ObjectKind::Dynamic,
                other => ObjectKind::Other(other),
            },
            machine: match word(18) {
                62 => Machine::X86_64,
                183 => Machine::Aarch64,
                other => Machine::Other(other),
            },
            segments_at: u64_at(header, 32).ok_or(ElfError::Outside { what: "the file header" })?,
            segment_size: word(54),
            segment_count: word(56),
        })
    }

    pub(crate) fn segments(&self, bytes: &[u8]) -> Result<Vec<Segment>, ElfError> {
        let what = "the program header table";
        if self.segment_count == 0 {
            return Ok(Vec::new());
        }
        if self.segment_size != SEGMENT_SIZE || self.segment_count == MANY_SEGMENTS {
            return Err(ElfError::Malformed { what });
        }
        let size = u64::from(self.segment_size) * u64::from(self.segment_count);
        let table = slice(bytes, self.segments_at, size).ok_or(ElfError::Outside { what })?;
        let segments = table.chunks_exact(usize::from(SEGMENT_SIZE)).map(Segment::read);
        segments.collect::<Option<_>>().ok_or(ElfError::Outside { what })
    }
}

impl Segment {
    fn read(entry: &[u8]) -> Option<Self> {
        let kind = u32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
        Some(Self { kind, offset: u64_at(entry, 8)?, address: u64_at(entry, 16)?, file_size: u64_at(entry, 32)? })
    }

    /// Its bytes in the file.
    pub(crate) fn content<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        slice(bytes, self.offset, self.file_size)
    }
}

/// Little-endian.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// `size` bytes from `offset`, if the file has them.
pub(crate) fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    bytes.get(start..end)
}
