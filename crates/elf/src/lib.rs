//! One reader of ELF files: needed libraries, run paths, machine; and the GPU code inside ([`FatbinScan`]).
//!
//! Reads 64-bit little-endian files, which is all that Corten's targets have, and of those only what the dynamic loader
//! looks at: the program headers and the dynamic section. Section headers (but for GPU code), symbols and versions are never
//! touched, so a stripped or padded file reads the same. Format: System V gABI chapters 4 and 5, elf(5).
//!
//! ```text
//! file header ──e_phoff──► program headers ──PT_INTERP──► interpreter
//!                                           ──PT_DYNAMIC─► tags ──DT_STRTAB (an address; through PT_LOAD)──► strings
//! ```
//!
//! Every offset is hostile: no read leaves the bytes, and a table that is cut short is an error, not a short answer.

mod dynamic;
mod fatbin;
mod header;

pub use dynamic::Dynamic;
pub use fatbin::{CodeKind, FatbinScan, GpuArchitecture, GpuCode, NoArchitecture, Scope};
pub use header::{Machine, ObjectKind, machine};

use dynamic::read_dynamic;
use header::{Header, Segment};

/// The first four bytes of every ELF file.
pub const MAGIC: [u8; 4] = *b"\x7fELF";

/// What the dynamic loader needs to know about a file. Names are slices of the file's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf<'a> {
    /// For which processor.
    pub machine: Machine,
    /// Program, library, object.
    pub kind: ObjectKind,
    /// The loader that starts it (`PT_INTERP`), for programs.
    pub interpreter: Option<&'a [u8]>,
    /// The dynamic section, unless it is static or an object.
    pub dynamic: Option<Dynamic<'a>>,
}

/// Why bytes are no ELF file that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// It does not begin with [`MAGIC`].
    #[error("not an ELF file")]
    NotElf,
    /// 32-bit, or big-endian.
    #[error("an ELF file, but not of the 64-bit little-endian kind")]
    Unsupported,
    /// Something points outside the file.
    #[error("{what} lies outside the file")]
    Outside {
        /// Which table or string.
        what: &'static str,
    },
    /// A size or a type that the format does not allow.
    #[error("{what} is malformed")]
    Malformed {
        /// Which table or string.
        what: &'static str,
    },
}

impl<'a> Elf<'a> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`ElfError::NotElf`] for any other file, [`ElfError::Unsupported`] for another class or byte order, and the
    /// other two for a broken file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let header = Header::read(bytes)?;
        let segments = header.segments(bytes)?;
        Ok(Self {
            machine: header.machine,
            kind: header.kind,
            interpreter: read_interpreter(bytes, &segments)?,
            dynamic: read_dynamic(bytes, &segments)?,
        })
    }
}

/// Does a file begin as ELF files do?
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

fn read_interpreter<'a>(bytes: &'a [u8], segments: &[Segment]) -> Result<Option<&'a [u8]>, ElfError> {
    let what = "the interpreter (PT_INTERP)";
    let Some(segment) = segments.iter().find(|segment| segment.kind == header::PT_INTERP) else { return Ok(None) };
    let content = segment.content(bytes).ok_or(ElfError::Outside { what })?;
    match content.iter().position(|&byte| byte == 0) {
        // Qt's libraries bring an empty one; who loads a library does not look at it.
        Some(0) => Ok(None),
        Some(end) => Ok(content.get(..end)),
        _ => Err(ElfError::Malformed { what }),
    }
}

#[cfg(test)]
mod tests;
