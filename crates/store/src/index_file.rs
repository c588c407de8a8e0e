//! `layers/<diffid>/index`: a [`LayerIndex`] in few bytes that load fast. It can be made again from the layer's blob,
//! so a file that is torn, or of another version, counts as absent.
//!
//! ```text
//! "corten-index" version:u8 diff_id:[32]       version 1
//! packages: count, then texts                  every text and number: LEB128 length or value, then bytes
//! entries:  count, then per entry
//!           kind:u8  mode  uid  gid  size  offset-step(zigzag)  crc32  package
//!           shared path length, rest of the path [, link target | major minor]
//! crc32:u32 little endian, of everything before
//! ```
//!
//! A path gives only what differs from the path before it; an offset only the step from the end of the content before
//! it; `crc32` and `package` are 0 for none, else one more than their value.

use std::collections::HashMap;

use corten_oci::{DiffId, Entry, Kind, LayerIndex, LayerPath};

const MAGIC: &[u8] = b"corten-index\x01";
/// Bytes that an entry takes at least; bounds what a count may claim.
const LEAST_ENTRY: usize = 10;

pub(crate) fn encode(diff_id: &DiffId, index: &LayerIndex) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + index.entries.len() * 48);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(diff_id.0.as_bytes());
    let packages = encode_packages(&mut bytes, index);
    number(&mut bytes, index.entries.len() as u64);
    let (mut before, mut end): (&[u8], u64) = (&[], 0);
    for entry in &index.entries {
        encode_entry(&mut bytes, entry, before, end, &packages);
        before = entry.path.as_bytes();
        end = entry.offset.wrapping_add(entry.size);
    }
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn encode_packages<'a>(bytes: &mut Vec<u8>, index: &'a LayerIndex) -> HashMap<&'a str, u64> {
    let mut packages = Vec::new();
    let mut places = HashMap::new();
    for package in index.entries.iter().filter_map(|entry| entry.package.as_deref()) {
        places.entry(package).or_insert_with(|| {
            packages.push(package);
            packages.len() as u64
        });
    }
    number(bytes, packages.len() as u64);
    packages.iter().for_each(|package| text(bytes, package.as_bytes()));
    places
}

fn encode_entry(bytes: &mut Vec<u8>, entry: &Entry, before: &[u8], end: u64, packages: &HashMap<&str, u64>) {
    bytes.push(kind_number(&entry.kind));
    number(bytes, entry.mode.into());
    number(bytes, entry.uid);
    number(bytes, entry.gid);
    number(bytes, entry.size);
    number(bytes, zigzag(entry.offset.wrapping_sub(end).cast_signed()));
    number(bytes, entry.crc32.map_or(0, |crc| u64::from(crc) + 1));
    number(bytes, entry.package.as_deref().and_then(|package| packages.get(package)).copied().unwrap_or(0));
    let path = entry.path.as_bytes();
    let shared = path.iter().zip(before).take_while(|(left, right)| left == right).count();
    number(bytes, shared as u64);
    text(bytes, &path[shared..]);
    match &entry.kind {
        Kind::Symlink(target) => text(bytes, target.as_bytes()),
        Kind::HardLink(target) => text(bytes, target.as_bytes()),
        Kind::CharacterDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            number(bytes, (*major).into());
            number(bytes, (*minor).into());
        }
        Kind::File | Kind::Directory | Kind::Fifo | Kind::Whiteout | Kind::Opaque => {}
    }
}

fn kind_number(kind: &Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Symlink(_) => 2,
        Kind::HardLink(_) => 3,
        Kind::CharacterDevice(..) => 4,
        Kind::BlockDevice(..) => 5,
        Kind::Fifo => 6,
        Kind::Whiteout => 7,
        Kind::Opaque => 8,
    }
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    number(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

fn zigzag(step: i64) -> u64 {
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// None where the bytes are not what [`encode`] wrote for this layer.
pub(crate) fn decode(diff_id: &DiffId, bytes: &[u8]) -> Option<LayerIndex> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?.strip_prefix(diff_id.0.as_bytes().as_slice())?;
    let mut reader = Reader(rest);
    let packages = reader.packages()?;
    let count = reader.count(LEAST_ENTRY)?;
    let mut entries = Vec::with_capacity(count);
    let (mut path, mut end) = (Vec::new(), 0_u64);
    for _ in 0..count {
        let entry = reader.entry(&mut path, end, &packages)?;
        end = entry.offset.wrapping_add(entry.size);
        entries.push(entry);
    }
    reader.0.is_empty().then_some(LayerIndex { entries })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A count of things that take at least `least` bytes each.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count: usize = self.number()?.try_into().ok()?;
        (count <= self.0.len() / least).then_some(count)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.count(1)?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn packages(&mut self) -> Option<Vec<String>> {
        (0..self.count(1)?).map(|_| String::from_utf8(self.text()?.to_vec()).ok()).collect()
    }

    fn entry(&mut self, path: &mut Vec<u8>, end: u64, packages: &[String]) -> Option<Entry> {
        let (&kind, rest) = self.0.split_first()?;
        self.0 = rest;
        let (mode, uid, gid, size) = (self.small()?, self.number()?, self.number()?, self.number()?);
        let offset = end.wrapping_add(unzigzag(self.number()?).cast_unsigned());
        let crc32 = match self.number()? {
            0 => None,
            more => Some(u32::try_from(more - 1).ok()?),
        };
        let package = match usize::try_from(self.number()?).ok()? {
            0 => None,
            place => Some(packages.get(place - 1)?.clone()),
        };
        let shared = usize::try_from(self.number()?).ok().filter(|shared| *shared <= path.len())?;
        path.truncate(shared);
        path.extend_from_slice(self.text()?);
        let kind = self.kind(kind)?;
        Some(Entry { path: LayerPath::new(&path).ok()?, kind, mode, uid, gid, size, crc32, offset, package })
    }

    fn kind(&mut self, kind: u8) -> Option<Kind> {
        Some(match kind {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink(String::from_utf8(self.text()?.to_vec()).ok()?),
            3 => Kind::HardLink(LayerPath::new(self.text()?).ok()?),
            4 => Kind::CharacterDevice(self.small()?, self.small()?),
            5 => Kind::BlockDevice(self.small()?, self.small()?),
            6 => Kind::Fifo,
            7 => Kind::Whiteout,
            8 => Kind::Opaque,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_oci::Digest;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = LayerPath::new(path).unwrap();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None }
    }

    /// A folder of every kind, and files as a wheel has them.
    fn sample(files: u32) -> LayerIndex {
        let mut entries = vec![
            entry("opt", Kind::Directory),
            entry("opt/link", Kind::Symlink("../é".into())),
            entry("opt/hard", Kind::HardLink(LayerPath::new("opt/f").unwrap())),
            entry("dev/null", Kind::CharacterDevice(1, 3)),
            entry("dev/vda", Kind::BlockDevice(254, u32::MAX)),
            entry("pipe", Kind::Fifo),
            entry("gone", Kind::Whiteout),
            entry("var", Kind::Opaque),
            Entry { path: LayerPath::new(b"n\xff").unwrap(), uid: u64::MAX, size: u64::MAX, ..entry("x", Kind::File) },
        ];
        let mut offset = 512;
        for number in 0..files {
            let size = u64::from(number % 9000);
            let path = LayerPath::new(format!("opt/venv/lib/python3.11/site-packages/p{}/m{number}.py", number % 40));
            let package = Some(format!("pkg:pypi/p{}@1.0", number % 40));
            let crc32 = Some(number.wrapping_mul(0x9e37_79b9));
            entries.push(Entry { path: path.unwrap(), size, crc32, offset, package, ..entry("x", Kind::File) });
            offset += 512 + size.next_multiple_of(512);
        }
        LayerIndex { entries }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let diff_id = DiffId(Digest::of("tar"));
        for index in [LayerIndex::default(), sample(500)] {
            assert_eq!(decode(&diff_id, &encode(&diff_id, &index)), Some(index));
        }
    }

    #[test]
    fn an_index_is_compact() {
        let bytes = encode(&DiffId(Digest::of("tar")), &sample(10_000)).len();
        assert!(bytes < 10_000 * 48, "{bytes}");
    }

    #[test]
    fn torn_changed_and_foreign_files_count_as_absent() {
        let diff_id = DiffId(Digest::of("tar"));
        let bytes = encode(&diff_id, &sample(20));
        assert_eq!(decode(&DiffId(Digest::of("other")), &bytes), None);
        for length in 0..bytes.len() {
            assert_eq!(decode(&diff_id, &bytes[..length]), None, "cut to {length}");
        }
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x40;
            assert_eq!(decode(&diff_id, &bytes), None, "changed at {place}");
        }
    }

    /// The checksum does not guard against those who can compute it: nothing may panic or take memory without bound.
    #[test]
    fn hostile_bytes_with_a_good_checksum_are_harmless() {
        let diff_id = DiffId(Digest::of("tar"));
        let good = encode(&diff_id, &sample(20));
        for place in MAGIC.len() + 32..good.len() - 4 {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = good[..good.len() - 4].to_vec();
                bytes[place] = value;
                let sum = crc32fast::hash(&bytes);
                bytes.extend_from_slice(&sum.to_le_bytes());
                decode(&diff_id, &bytes);
            }
        }
    }
}
