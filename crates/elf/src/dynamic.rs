//! The dynamic section: a list of (tag, value) pairs whose strings lie in a table that is named by address.

use crate::ElfError;
use crate::header::{PT_DYNAMIC, PT_LOAD, Segment, slice, u64_at};

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

const ENTRY_SIZE: usize = 16;
const SECTION: &str = "the dynamic section";
const STRINGS: &str = "the dynamic string table";

/// What the dynamic section says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic<'a> {
    /// Libraries that must be loaded with it, in order (`DT_NEEDED`).
    pub needed: Vec<&'a [u8]>,
    /// Its own name, for libraries (`DT_SONAME`).
    pub soname: Option<&'a [u8]>,
    /// Where its own libraries are sought, `:`-separated (`DT_RUNPATH`).
    pub runpath: Option<&'a [u8]>,
    /// Where its own libraries and those of its libraries are sought, unless there is a run path (`DT_RPATH`).
    pub rpath: Option<&'a [u8]>,
}

pub(crate) fn read_dynamic<'a>(bytes: &'a [u8], segments: &[Segment]) -> Result<Option<Dynamic<'a>>, ElfError> {
    let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else { return Ok(None) };
    let section = segment.content(bytes).ok_or(ElfError::Outside { what: SECTION })?;
    let entries = read_entries(section);
    let mut dynamic = Dynamic::default();
    let mut strings = None;
    for &(tag, value) in &entries {
        if !matches!(tag, DT_NEEDED | DT_SONAME | DT_RUNPATH | DT_RPATH) {
            continue;
        }
        if strings.is_none() {
            strings = Some(string_table(bytes, segments, &entries)?);
        }
        let text = string(strings.unwrap_or_default(), value)?;
        match tag {
            DT_NEEDED => dynamic.needed.push(text),
            DT_SONAME => dynamic.soname = Some(text),
            DT_RUNPATH => dynamic.runpath = Some(text),
            _ => dynamic.rpath = Some(text),
        }
    }
    Ok(Some(dynamic))
}

/// The pairs up to `DT_NULL`, or to the end where it is missing.
fn read_entries(section: &[u8]) -> Vec<(u64, u64)> {
    let pairs = section.chunks_exact(ENTRY_SIZE).filter_map(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)));
    pairs.take_while(|&(tag, _)| tag != DT_NULL).collect()
}

fn string_table<'a>(bytes: &'a [u8], segments: &[Segment], entries: &[(u64, u64)]) -> Result<&'a [u8], ElfError> {
    let value = |wanted| entries.iter().find(|&&(tag, _)| tag == wanted).map(|&(_, value)| value);
    let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
        return Err(ElfError::Malformed { what: SECTION });
    };
    let offset = file_offset(segments, address).ok_or(ElfError::Outside { what: STRINGS })?;
    slice(bytes, offset, size).ok_or(ElfError::Outside { what: STRINGS })
}

/// Where in the file an address of memory is loaded from.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let loads = segments.iter().filter(|segment| segment.kind == PT_LOAD);
    let mut inside = loads.filter_map(|segment| {
        let distance = address.checked_sub(segment.address)?;
        (distance < segment.file_size).then(|| segment.offset.checked_add(distance)).flatten()
    });
    inside.next()
}

fn string(table: &[u8], at: u64) -> Result<&[u8], ElfError> {
    let outside = ElfError::Outside { what: "a name of the dynamic section" };
    let rest = usize::try_from(at).ok().and_then(|at| table.get(at..)).ok_or(outside.clone())?;
    let end = rest.iter().position(|&byte| byte == 0).ok_or(outside)?;
    Ok(&rest[..end])
}
