//! Deterministic tar headers: ustar (POSIX.1-1988), and a PAX header (POSIX.1-2001) in front where ustar is too small.
//!
//! Numbers of owners, no names; whole seconds; directories end in `/`. A field that does not fit is 0 (or
//! cut, for a path) in the ustar header, and whole in the PAX header: `SCHILY.xattr.*` by name, `gid`, `linkpath`, `mtime`,
//! `path`, `size`, `uid`, in this order. Whiteouts are files as the OCI image specification ("Whiteouts") names them. A file whose own name
//! begins with `.wh.` would be taken for one, so it is refused.

use std::io;

use corten_oci::{Entry, Kind, LayerPath};

use crate::attributes::{Attributes, COUNT_LIMIT, NAME_LIMIT, PAX_PREFIX, VALUE_LIMIT};

/// A tar is made of blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

const NAME: usize = 100;
const PREFIX: usize = 155;
/// Bytes of a PAX header's attributes; readers stop at 1 MiB.
const PAX_LIMIT: usize = (1 << 20) - (64 << 10);
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The largest number in an octal field of `width` bytes, the last of them NUL.
const fn octal_limit(width: usize) -> u64 {
    (1 << (3 * (width - 1))) - 1
}

/// The header blocks of an entry, PAX header included.
pub(super) fn encode(entry: &Entry, attributes: &Attributes) -> io::Result<Vec<u8>> {
    let name = name(entry)?;
    let link = link(&entry.kind);
    check(entry, link)?;
    let mut pax = Pax::default();
    add_xattrs(&mut pax, entry, attributes)?;
    // A time before 1970 is 0 in the header of ustar, which has no sign.
    let mtime = u64::try_from(attributes.mtime).unwrap_or(u64::MAX);
    if entry.gid > octal_limit(8) {
        pax.add("gid", entry.gid.to_string().as_bytes());
    }
    if link.len() > NAME {
        pax.add("linkpath", link);
    }
    if mtime > octal_limit(12) {
        pax.add("mtime", attributes.mtime.to_string().as_bytes());
    }
    let split = split(&name);
    if split.is_none() {
        pax.add("path", &name);
    }
    if entry.size > octal_limit(12) {
        pax.add("size", entry.size.to_string().as_bytes());
    }
    if entry.uid > octal_limit(8) {
        pax.add("uid", entry.uid.to_string().as_bytes());
    }
    let mut blocks = pax.blocks(&name, mtime);
    let (prefix, short) = split.unwrap_or((&[], &name[..name.len().min(NAME)]));
    blocks.extend_from_slice(&ustar(entry, prefix, short, link, mtime)?);
    Ok(blocks)
}

fn add_xattrs(pax: &mut Pax, entry: &Entry, attributes: &Attributes) -> io::Result<()> {
    if attributes.xattrs.len() > COUNT_LIMIT {
        return Err(refused(entry, "it has more than 256 extended attributes"));
    }
    for (name, value) in &attributes.xattrs {
        if name.is_empty() || name.len() > NAME_LIMIT || name.iter().any(|byte| matches!(byte, 0 | b'=')) {
            return Err(refused(entry, "the name of an extended attribute cannot be written"));
        }
        if value.len() > VALUE_LIMIT || pax.0.len() + value.len() > PAX_LIMIT {
            return Err(refused(entry, "its extended attributes are too large"));
        }
        pax.add_bytes(&[PAX_PREFIX, name].concat(), value);
    }
    Ok(())
}

/// The path as tar spells it.
pub(super) fn name(entry: &Entry) -> io::Result<Vec<u8>> {
    let reserved = entry.path.as_bytes().split(|&byte| byte == b'/').any(|name| name.starts_with(WHITEOUT));
    if reserved {
        return Err(refused(entry, "a name that begins with '.wh.' means a deletion in a layer"));
    }
    match (&entry.kind, entry.path.is_root()) {
        (Kind::Directory, true) => Ok(b"./".to_vec()),
        (Kind::Directory, false) => Ok([entry.path.as_bytes(), b"/"].concat()),
        (Kind::Opaque, _) => Ok(below(Some(&entry.path), OPAQUE)),
        (_, true) => Err(refused(entry, "the root can only be a directory")),
        (Kind::Whiteout, false) => Ok(below(entry.path.parent().as_ref(), &[WHITEOUT, entry.path.name()].concat())),
        (_, false) => Ok(entry.path.as_bytes().to_vec()),
    }
}

fn below(folder: Option<&LayerPath>, name: &[u8]) -> Vec<u8> {
    match folder {
        Some(folder) if !folder.is_root() => [folder.as_bytes(), b"/", name].concat(),
        _ => name.to_vec(),
    }
}

fn link(kind: &Kind) -> &[u8] {
    match kind {
        Kind::Symlink(target) => target.as_bytes(),
        Kind::HardLink(target) => target.as_bytes(),
        _ => &[],
    }
}

fn check(entry: &Entry, link: &[u8]) -> io::Result<()> {
    if entry.size > 0 && entry.kind != Kind::File {
        return Err(refused(entry, "only a file has content"));
    }
    if entry.mode > 0o7777 {
        return Err(refused(entry, "mode has bits that are no permissions"));
    }
    if link.contains(&0) {
        return Err(refused(entry, "its target has a NUL byte"));
    }
    if link.is_empty() && matches!(entry.kind, Kind::Symlink(_) | Kind::HardLink(_)) {
        return Err(refused(entry, "its target is empty"));
    }
    Ok(())
}

fn refused(entry: &Entry, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("cannot write '{}' to a layer: {why}", entry.path))
}

/// Prefix and name of a ustar header, where the path fits; the longest prefix, as Go and libarchive choose.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((&[], path));
    }
    let slashes = path.iter().enumerate().take(PREFIX + 1).filter(|(at, byte)| **byte == b'/' && *at + 1 < path.len());
    let (at, _) = slashes.max_by_key(|(at, _)| *at)?;
    let (prefix, name) = (path.get(..at)?, path.get(at + 1..)?);
    (!prefix.is_empty() && name.len() <= NAME).then_some((prefix, name))
}

fn ustar(entry: &Entry, prefix: &[u8], name: &[u8], link: &[u8], mtime: u64) -> io::Result<[u8; BLOCK]> {
    let (kind, major, minor) = match entry.kind {
        Kind::File | Kind::Whiteout | Kind::Opaque => (b'0', 0, 0),
        Kind::HardLink(_) => (b'1', 0, 0),
        Kind::Symlink(_) => (b'2', 0, 0),
        Kind::CharacterDevice(major, minor) => (b'3', major, minor),
        Kind::BlockDevice(major, minor) => (b'4', major, minor),
        Kind::Directory => (b'5', 0, 0),
        Kind::Fifo => (b'6', 0, 0),
    };
    if u64::from(major.max(minor)) > octal_limit(8) {
        return Err(refused(entry, "its device number is too large for tar"));
    }
    let mut block = Block::new(kind, mtime);
    block.bytes(0, &name[..name.len().min(NAME)]);
    block.octal(100, 8, u64::from(entry.mode));
    block.octal(108, 8, entry.uid);
    block.octal(116, 8, entry.gid);
    block.octal(124, 12, entry.size);
    block.bytes(157, &link[..link.len().min(NAME)]);
    if matches!(entry.kind, Kind::CharacterDevice(..) | Kind::BlockDevice(..)) {
        block.octal(329, 8, u64::from(major));
        block.octal(337, 8, u64::from(minor));
    }
    block.bytes(345, prefix);
    Ok(block.finish())
}

/// A header block that is being filled.
struct Block([u8; BLOCK]);

impl Block {
    fn new(kind: u8, mtime: u64) -> Self {
        let mut block = Self([0; BLOCK]);
        block.octal(136, 12, mtime);
        block.bytes(156, &[kind]);
        block.bytes(257, b"ustar\x0000");
        block
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Octal digits with a NUL behind them; 0 for a number that the PAX header carries.
    fn octal(&mut self, at: usize, width: usize, number: u64) {
        let number = if number > octal_limit(width) { 0 } else { number };
        let digits = format!("{number:0digits$o}", digits = width - 1);
        self.bytes(at, digits.as_bytes());
    }

    /// With its checksum: the sum of all bytes, its own field taken as spaces.
    fn finish(mut self) -> [u8; BLOCK] {
        self.bytes(148, b"        ");
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.bytes(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// The records of a PAX extended header.
#[derive(Default)]
struct Pax(Vec<u8>);

impl Pax {
    /// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
    fn add(&mut self, key: &str, value: &[u8]) {
        self.add_bytes(key.as_bytes(), value);
    }

    fn add_bytes(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while rest + length.to_string().len() != length {
            length += 1;
        }
        self.0.extend_from_slice(format!("{length} ").as_bytes());
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    /// Header and records, padded; nothing where there is no record.
    fn blocks(self, path: &[u8], mtime: u64) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut block = Block::new(b'x', mtime);
        let shown = [b"PaxHeaders/", path].concat();
        block.bytes(0, &shown[..shown.len().min(NAME)]);
        block.octal(100, 8, 0o644);
        block.octal(108, 8, 0);
        block.octal(116, 8, 0);
        block.octal(124, 12, self.0.len() as u64);
        let mut blocks = block.finish().to_vec();
        blocks.extend_from_slice(&self.0);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = LayerPath::new(path).unwrap();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None }
    }

    #[test]
    fn a_pax_length_counts_itself() {
        for length in 80..1100 {
            let mut pax = Pax::default();
            pax.add("path", &vec![b'a'; length]);
            let digits: String =
                pax.0.iter().take_while(|byte| byte.is_ascii_digit()).map(|&b| char::from(b)).collect();
            assert_eq!(digits.parse::<usize>().unwrap(), pax.0.len());
        }
    }

    #[test]
    fn what_would_be_taken_for_a_whiteout_is_refused() {
        for path in ["a/.wh.b", ".wh.x/y", ".wh..wh..opq"] {
            let error = encode(&entry(path, Kind::File), &Attributes::at(0)).unwrap_err().to_string();
            assert!(error.contains("deletion"), "{error}");
        }
    }

    #[test]
    fn paths_split_only_at_a_slash_that_leaves_both_parts_short_enough() {
        assert_eq!(split(&[b'a'; 100]).unwrap().0, b"");
        assert_eq!(split(&[b'a'; 101]), None);
        let long = [vec![b'a'; 155], vec![b'/'], vec![b'b'; 100]].concat();
        assert_eq!(split(&long).unwrap().0.len(), 155);
        assert_eq!(split(&[long.as_slice(), b"b"].concat()), None);
        let folder = [vec![b'a'; 120], vec![b'/']].concat();
        assert_eq!(split(&folder), None, "a trailing slash is no place to split");
    }

    #[test]
    fn numbers_that_do_not_fit_go_to_the_pax_header() {
        let mut huge = entry("huge", Kind::File);
        (huge.size, huge.uid, huge.gid) = (octal_limit(12), octal_limit(8), octal_limit(8));
        assert_eq!(
            encode(&huge, &Attributes::at(octal_limit(12).cast_signed())).unwrap().len(),
            BLOCK,
            "they just fit"
        );
        (huge.size, huge.uid, huge.gid) = (1 << 33, 1 << 21, 1 << 21);
        let blocks = encode(&huge, &Attributes::at(1 << 33)).unwrap();
        let records = "15 gid=2097152\n20 mtime=8589934592\n19 size=8589934592\n15 uid=2097152\n";
        assert_eq!(String::from_utf8_lossy(&blocks[BLOCK..BLOCK + records.len()]), records);
        assert_eq!(&blocks[2 * BLOCK + 124..2 * BLOCK + 136], b"00000000000\0");
        assert_eq!(blocks.len(), 3 * BLOCK);
    }

    #[test]
    fn what_tar_cannot_say_is_refused() {
        let mut sized = entry("a", Kind::Directory);
        sized.size = 1;
        let devices = entry("a", Kind::BlockDevice(0x8000_0000, 0));
        for entry in [sized, devices, entry("a", Kind::Symlink(String::new())), entry("", Kind::File)] {
            assert!(encode(&entry, &Attributes::at(0)).is_err(), "{entry:?}");
        }
    }
}
