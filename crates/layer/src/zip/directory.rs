//! The end record, the central directory, and the local headers that must agree with it.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use memchr::memmem;

use super::{Member, ZipError, name};
use crate::walk::read_full;

const END: &[u8; 4] = b"PK\x05\x06";
const END_64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

const END_SIZE: u64 = 22;
const LOCATOR_64_SIZE: u64 = 20;
const END_64_SIZE: u64 = 56;
const LONGEST_COMMENT: u64 = 0xffff;

/// Directories larger than this are not read: a million members of a wheel's usual names.
const LARGEST_DIRECTORY: u64 = 128 << 20;
/// Bytes between members, or before the first, that are searched for hidden members; more are refused.
const LARGEST_GAP: u64 = 16 << 20;
/// Deflate's best: a match of 258 bytes in two bits, and the blocks' own bits.
const BEST_RATIO: u64 = 1040;

const ENCRYPTED: u16 = 1 << 0;
const HAS_DESCRIPTOR: u16 = 1 << 3;
const PATCHED: u16 = 1 << 5;
const STRONG_ENCRYPTION: u16 = 1 << 6;
const UTF8: u16 = 1 << 11;
const MASKED: u16 = 1 << 13;
/// What local header and directory must agree on.
const AGREE: u16 = ENCRYPTED | STRONG_ENCRYPTION | UTF8 | MASKED;

const ZIP64_EXTRA: u16 = 0x0001;
const UNICODE_PATH_EXTRA: u16 = 0x7075;

/// What the central directory says.
pub(super) struct Directory {
    pub(super) records: Vec<Record>,
    /// Where the first record is: members end before it.
    start: u64,
}

/// One record of the directory.
pub(super) struct Record {
    pub(super) name: String,
    pub(super) folder: bool,
    raw_name: Vec<u8>,
    flags: u16,
    deflated: bool,
    compressed_size: u64,
    size: u64,
    crc32: u32,
    mode: Option<u32>,
    /// Of the local header, in the source (bytes in front of the archive counted).
    offset: u64,
}

impl Record {
    pub(super) fn into_member(self) -> Member {
        let Self { name, deflated, compressed_size, size, crc32, mode, offset, .. } = self;
        Member { name, deflated, compressed_size, size, crc32, mode, header_offset: offset }
    }

    fn refuse<T>(&self, why: impl std::fmt::Display) -> Result<T, ZipError> {
        ZipError::member(&self.name, why)
    }
}

/// Little-endian numbers from the front of a slice; an end that comes too early is a refusal.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], ZipError> {
        let Some((bytes, rest)) = self.0.split_at_checked(count) else {
            return ZipError::refused("a zip record is cut off");
        };
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self, width: usize) -> Result<u64, ZipError> {
        Ok(self.bytes(width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn u16(&mut self) -> Result<u16, ZipError> {
        Ok(self.number(2)? as u16)
    }

    fn u32(&mut self) -> Result<u32, ZipError> {
        Ok(self.number(4)? as u32)
    }

    fn signature(&mut self, signature: &[u8; 4], what: &str) -> Result<(), ZipError> {
        if self.bytes(4)? == signature { Ok(()) } else { ZipError::refused(format!("no {what} where one should be")) }
    }
}

fn read_at<R: Read + Seek>(source: &mut R, offset: u64, size: u64) -> Result<Vec<u8>, ZipError> {
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; usize::try_from(size).map_err(std::io::Error::other)?];
    if read_full(source, &mut bytes)? < bytes.len() {
        return ZipError::refused("the zip is cut off");
    }
    Ok(bytes)
}

/// Finds, reads and checks the central directory.
pub(super) fn read<R: Read + Seek>(source: &mut R) -> Result<Directory, ZipError> {
    let end = End::read(source)?;
    let bytes = read_at(source, end.start, end.size)?;
    let mut fields = Fields(&bytes);
    let mut records = Vec::new();
    while !fields.0.is_empty() {
        records.push(record(&mut fields, end.prefix, end.start)?);
    }
    if records.len() as u64 != end.count {
        let found = records.len();
        return ZipError::refused(format!("the zip directory has {found} records, its end record says {}", end.count));
    }
    Ok(Directory { records, start: end.start })
}

/// Where the central directory is.
struct End {
    start: u64,
    size: u64,
    count: u64,
    /// Bytes in front of the archive, which its offsets do not count.
    prefix: u64,
}

impl End {
    fn read<R: Read + Seek>(source: &mut R) -> Result<Self, ZipError> {
        let length = source.seek(SeekFrom::End(0))?;
        let tail_start = length.saturating_sub(END_SIZE + LONGEST_COMMENT);
        let tail = read_at(source, tail_start, length - tail_start)?;
        let at = find_end(&tail)?;
        let position = tail_start + at as u64;
        let mut fields = Fields(&tail[at + 4..]);
        let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
        let (count_here, count) = (fields.number(2)?, fields.number(2)?);
        let (size, offset) = (fields.number(4)?, fields.number(4)?);
        if disk != directory_disk || count_here != count || (disk != 0 && disk != 0xffff) {
            return ZipError::refused("the zip is one of several disks");
        }
        match End64::read(source, position)? {
            Some(end) => end.agree(count, size, offset),
            None if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff => {
                ZipError::refused("the zip's end record points to a zip64 record that is not there")
            }
            None => Self::at(position, count, size, offset),
        }
    }

    /// The directory lies directly before `limit`; its offset says how much lies in front of the archive.
    fn at(limit: u64, count: u64, size: u64, offset: u64) -> Result<Self, ZipError> {
        let Some(start) = limit.checked_sub(size) else {
            return ZipError::refused("the zip directory is larger than the zip");
        };
        let Some(prefix) = start.checked_sub(offset) else {
            return ZipError::refused("the zip directory is not where its end record says");
        };
        if size > LARGEST_DIRECTORY {
            return ZipError::refused(format!("the zip directory has {size} bytes, more than {LARGEST_DIRECTORY}"));
        }
        Ok(Self { start, size, count, prefix })
    }
}

/// The end record: the one whose comment reaches to the end of the file, and no other may.
fn find_end(tail: &[u8]) -> Result<usize, ZipError> {
    let candidates: Vec<usize> = memmem::rfind_iter(tail, END).take(64).collect();
    let ends_here = |at: &usize| {
        let comment = tail.get(at + 20..at + 22).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
        comment.is_some_and(|comment| at + END_SIZE as usize + comment == tail.len())
    };
    let mut fitting = candidates.iter().filter(|at| ends_here(at));
    match (fitting.next(), fitting.next(), candidates.first()) {
        (None, _, None) => ZipError::refused("it is no zip: there is no end record"),
        (None, _, Some(_)) => ZipError::refused("bytes follow the zip's end record"),
        (Some(_), Some(_), _) => ZipError::refused("the zip has two end records"),
        (Some(at), None, last) if last == Some(at) => Ok(*at),
        (Some(_), None, _) => ZipError::refused("the zip's comment holds an end record"),
    }
}

/// The zip64 end record.
struct End64 {
    position: u64,
    count: u64,
    size: u64,
    offset: u64,
    /// Where its locator says that it is.
    claimed: u64,
}

impl End64 {
    fn read<R: Read + Seek>(source: &mut R, end: u64) -> Result<Option<Self>, ZipError> {
        let Some(position) = end.checked_sub(LOCATOR_64_SIZE + END_64_SIZE) else { return Ok(None) };
        let bytes = read_at(source, position, LOCATOR_64_SIZE + END_64_SIZE)?;
        let (record, locator) = bytes.split_at(END_64_SIZE as usize);
        if !locator.starts_with(LOCATOR_64) {
            return Ok(None);
        }
        let mut locator = Fields(&locator[4..]);
        let (disk, claimed, disks) = (locator.u32()?, locator.number(8)?, locator.u32()?);
        let mut fields = Fields(record);
        fields.signature(END_64, "zip64 end record")?;
        let size_of_rest = fields.number(8)?;
        let (_made_by, _needs) = (fields.u16()?, fields.u16()?);
        let (this_disk, directory_disk) = (fields.u32()?, fields.u32()?);
        let (count_here, count) = (fields.number(8)?, fields.number(8)?);
        let (size, offset) = (fields.number(8)?, fields.number(8)?);
        if disk != 0 || disks > 1 || this_disk != 0 || directory_disk != 0 || count_here != count {
            return ZipError::refused("the zip is one of several disks");
        }
        if size_of_rest != END_64_SIZE - 12 {
            return ZipError::refused("the zip64 end record is not of the known size");
        }
        Ok(Some(Self { position, count, size, offset, claimed }))
    }

    /// The old end record says the same, or that it cannot.
    fn agree(self, count: u64, size: u64, offset: u64) -> Result<End, ZipError> {
        let agree = (count == self.count || count == 0xffff)
            && (size == self.size || size == 0xffff_ffff)
            && (offset == self.offset || offset == 0xffff_ffff);
        if !agree {
            return ZipError::refused("the zip's two end records differ");
        }
        let end = End::at(self.position, self.count, self.size, self.offset)?;
        if self.claimed.checked_add(end.prefix) != Some(self.position) {
            return ZipError::refused("the zip64 end record is not where its locator says");
        }
        Ok(end)
    }
}

fn record(fields: &mut Fields<'_>, prefix: u64, limit: u64) -> Result<Record, ZipError> {
    fields.signature(CENTRAL, "record in the zip directory")?;
    let made_by = fields.u16()?;
    let (_needs, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let _modified = fields.u32()?;
    let crc32 = fields.u32()?;
    let (compressed_size, size) = (fields.number(4)?, fields.number(4)?);
    let (name_size, extra_size, comment_size) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let (disk, _internal, external) = (fields.number(2)?, fields.u16()?, fields.u32()?);
    let offset = fields.number(4)?;
    let raw_name = fields.bytes(usize::from(name_size))?;
    let extra = fields.bytes(usize::from(extra_size))?;
    let _comment = fields.bytes(usize::from(comment_size))?;
    let (name, folder) = name::parse(raw_name, flags & UTF8 != 0)?;
    let mut large = [(size, 8), (compressed_size, 8), (offset, 8), (disk, 4)];
    check_extra(extra, &name, raw_name, &mut large)?;
    let [(size, _), (compressed_size, _), (offset, _), (disk, _)] = large;
    let Some(offset) = offset.checked_add(prefix).filter(|&offset| offset < limit) else {
        return ZipError::member(&name, "its local header is not before the directory");
    };
    let deflated = method == 8;
    let record = Record {
        mode: unix_mode(made_by, external),
        raw_name: raw_name.to_vec(),
        name,
        folder,
        flags,
        deflated,
        compressed_size,
        size,
        crc32,
        offset,
    };
    check_record(&record, method, disk, external)?;
    Ok(record)
}

fn check_record(record: &Record, method: u16, disk: u64, external: u32) -> Result<(), ZipError> {
    if record.flags & (ENCRYPTED | STRONG_ENCRYPTION | MASKED) != 0 {
        return record.refuse("it is encrypted");
    }
    if record.flags & PATCHED != 0 {
        return record.refuse("it is a patch");
    }
    if method != 0 && method != 8 {
        return record
            .refuse(format_args!("it is compressed by method {method}; wheels are stored (0) or deflated (8)"));
    }
    if disk != 0 {
        return record.refuse("it lies on another disk");
    }
    check_kind(record, external)?;
    let possible = match record.deflated {
        true => record.compressed_size > 0 && record.size <= record.compressed_size.saturating_mul(BEST_RATIO),
        false => record.size == record.compressed_size,
    };
    if !possible {
        let Record { size, compressed_size, .. } = record;
        return record.refuse(format_args!("its sizes lie: {size} bytes cannot come from {compressed_size}"));
    }
    Ok(())
}

/// A file or a folder, and the trailing slash of its name says which.
fn check_kind(record: &Record, external: u32) -> Result<(), ZipError> {
    const DOS_FOLDER: u32 = 0x10;
    let kind = external >> 16 & 0o170_000;
    match kind {
        0o120_000 => return record.refuse("it is a symbolic link"),
        0 | 0o040_000 | 0o100_000 => {}
        _ => return record.refuse("it is neither file nor folder"),
    }
    let says_folder = kind == 0o040_000 || (kind == 0 && external & DOS_FOLDER != 0);
    let says_file = kind == 0o100_000;
    if (says_folder && !record.folder) || (says_file && record.folder) {
        return record.refuse("its name and its attributes differ on whether it is a folder");
    }
    if record.folder && record.size > 0 {
        return record.refuse("it is a folder and has content");
    }
    Ok(())
}

/// Permission bits, where a Unix system wrote them.
fn unix_mode(made_by: u16, external: u32) -> Option<u32> {
    const UNIX: u16 = 3;
    const MACOS: u16 = 19;
    let mode = external >> 16;
    (matches!(made_by >> 8, UNIX | MACOS) && mode != 0).then_some(mode & 0o7777)
}

/// Takes the numbers that zip64 moved to the extra fields; refuses a second name in them.
fn check_extra(extra: &[u8], name: &str, raw_name: &[u8], large: &mut [(u64, usize)]) -> Result<(), ZipError> {
    let mut fields = Fields(extra);
    let mut wanted = large.iter().any(|&(number, width)| is_moved(number, width));
    let mut zip64_seen = false;
    // Fewer bytes than a field's header are padding (zipalign).
    while fields.0.len() >= 4 {
        let (id, size) = (fields.u16()?, fields.u16()?);
        let mut field = Fields(match fields.bytes(usize::from(size)) {
            Ok(field) => field,
            Err(_) => return ZipError::member(name, "its extra fields are cut off"),
        });
        match id {
            ZIP64_EXTRA if std::mem::replace(&mut zip64_seen, true) => {
                return ZipError::member(name, "it has two zip64 fields");
            }
            ZIP64_EXTRA => {
                for (number, width) in large.iter_mut().filter(|(number, width)| is_moved(*number, *width)) {
                    *number = field.number(*width)?;
                }
                wanted = false;
            }
            UNICODE_PATH_EXTRA if field.0.get(5..) != Some(raw_name) => {
                return ZipError::member(name, "its extra fields give it another name");
            }
            _ => {}
        }
    }
    if wanted { ZipError::member(name, "its zip64 field is missing") } else { Ok(()) }
}

/// All ones in the old field: the number is in the zip64 field.
fn is_moved(number: u64, zip64_width: usize) -> bool {
    number == if zip64_width == 8 { 0xffff_ffff } else { 0xffff }
}

/// Where each member's data begins, by the offset of its local header. Every local header agrees with the directory, no
/// two members overlap, nothing hides between them.
pub(super) fn check_local_headers<R: Read + Seek>(
    source: &mut R,
    directory: &Directory,
) -> Result<BTreeMap<u64, u64>, ZipError> {
    let mut records: Vec<&Record> = directory.records.iter().collect();
    records.sort_by_key(|record| record.offset);
    let mut data = BTreeMap::new();
    let mut free = 0;
    for (number, record) in records.iter().enumerate() {
        if record.offset < free {
            return record.refuse("it overlaps the member before it");
        }
        check_gap(source, free, record.offset)?;
        let limit = records.get(number + 1).map_or(directory.start, |next| next.offset);
        let (start, end) = local_header(source, record, limit)?;
        data.insert(record.offset, start);
        free = end;
    }
    check_gap(source, free, directory.start)?;
    Ok(data)
}

/// Checks a local header; gives where the data begins and where the member ends.
fn local_header<R: Read + Seek>(source: &mut R, record: &Record, limit: u64) -> Result<(u64, u64), ZipError> {
    const FIXED: u64 = 30;
    /// Zip64, times and owners as the usual tools write them: one read gets all.
    const USUAL_EXTRA: u64 = 64;
    let name_size = record.raw_name.len() as u64;
    let available = limit.saturating_sub(record.offset);
    if available < FIXED + name_size {
        return record.refuse("it overlaps what follows it");
    }
    let bytes = read_at(source, record.offset, available.min(FIXED + name_size + USUAL_EXTRA))?;
    let mut fields = Fields(&bytes);
    fields.signature(LOCAL, "local header of a zip member")?;
    let (_needs, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let _modified = fields.u32()?;
    let crc32 = fields.u32()?;
    let (compressed_size, size) = (fields.number(4)?, fields.number(4)?);
    let (local_name_size, extra_size) = (fields.number(2)?, fields.number(2)?);
    if local_name_size != name_size || fields.bytes(record.raw_name.len())? != record.raw_name {
        return record.refuse("its local header has another name");
    }
    if method != if record.deflated { 8 } else { 0 } || (flags ^ record.flags) & AGREE != 0 {
        return record.refuse("its local header has another method or other flags");
    }
    let start = record.offset + FIXED + name_size + extra_size;
    let Some(end) = start.checked_add(record.compressed_size).filter(|&end| end <= limit) else {
        return record.refuse("it overlaps what follows it");
    };
    let mut large = [(size, 8), (compressed_size, 8)];
    let extra = match fields.bytes(extra_size as usize) {
        Ok(extra) => extra.to_vec(),
        Err(_) => read_at(source, record.offset + FIXED + name_size, extra_size)?,
    };
    check_extra(&extra, &record.name, &record.raw_name, &mut large)?;
    let described = flags & HAS_DESCRIPTOR != 0;
    let said = [u64::from(crc32), large[1].0, large[0].0];
    let claimed = [u64::from(record.crc32), record.compressed_size, record.size];
    if said.iter().zip(claimed).any(|(&said, claimed)| said != claimed && !(described && said == 0)) {
        return record.refuse("its local header has other sizes or another CRC-32");
    }
    let end = if described { end + descriptor(source, record, end, limit)? } else { end };
    Ok((start, end))
}

/// The size of the data descriptor at `at`, which must say what the directory says.
fn descriptor<R: Read + Seek>(source: &mut R, record: &Record, at: u64, limit: u64) -> Result<u64, ZipError> {
    const LONGEST: u64 = 24;
    let bytes = read_at(source, at, (limit - at).min(LONGEST))?;
    let (crc32, sizes) = (record.crc32.to_le_bytes(), [record.compressed_size, record.size]);
    let wide = sizes.map(u64::to_le_bytes).concat();
    let narrow = sizes.map(|size| (size as u32).to_le_bytes()).concat();
    let fits = sizes.iter().all(|&size| u32::try_from(size).is_ok());
    let forms: [(&[u8], &[u8], bool); 4] =
        [(DESCRIPTOR, &narrow, fits), (DESCRIPTOR, &wide, true), (&[], &narrow, fits), (&[], &wide, true)];
    // The short form is also the start of the long one of an empty member: take the one that fills the space.
    let possible = forms.into_iter().filter(|(_, _, possible)| *possible);
    let forms = possible.map(|(signature, sizes, _)| [signature, crc32.as_slice(), sizes].concat());
    let found: Vec<u64> = forms.filter(|form| bytes.starts_with(form)).map(|form| form.len() as u64).collect();
    match found.iter().find(|&&size| at + size == limit).or(found.first()) {
        Some(&size) => Ok(size),
        None => record.refuse("its data descriptor differs from the directory"),
    }
}

/// Nothing between two members looks like a member.
fn check_gap<R: Read + Seek>(source: &mut R, start: u64, end: u64) -> Result<(), ZipError> {
    let size = end.saturating_sub(start);
    if size == 0 {
        return Ok(());
    }
    if size > LARGEST_GAP {
        return ZipError::refused(format!("{size} bytes of the zip at byte {start} belong to no member"));
    }
    if memmem::find(&read_at(source, start, size)?, LOCAL).is_some() {
        return ZipError::refused(format!("a member that is not in the directory hides in the zip after byte {start}"));
    }
    Ok(())
}
