//! ADD unpacks archives of the context: a tar, plain or compressed, known by what is in it and never by its name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::{Attributes, is_kept};
use corten_layer::bounds::{self, Capped};
use corten_layer::tar::{TarError, TarReader};
use corten_layer::{gzip, xz};
use corten_oci::{Entry, Kind, LayerPath, MediaType};
use corten_store::StoreError;

use super::content::{self, Layers};
use super::paths::{Content, Item, Target};
use super::view::{Found, Last, View, resolve};

/// Bytes that an archive may unpack to; one that is compressed, to what [`bounds::largest`] says of its size.
const LARGEST: u64 = 64 << 30;
/// What it may hold.
const MOST_ENTRIES: usize = 4_000_000;
/// Bytes that tell what a file is.
const HEAD: usize = 512;

/// What a file that could be an archive is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, 0x08, ..] => Packing::Gzip,
        [b'B', b'Z', b'h', ..] => Packing::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

fn opened<'r>(packing: Packing, source: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    match packing {
        Packing::Plain => Ok(Box::new(source)),
        Packing::Gzip => gzip::reader(&MediaType::LAYER_GZIP.into(), source),
        Packing::Zstd => gzip::reader(&MediaType::LAYER_ZSTD.into(), source),
        Packing::Xz => xz::reader("an archive.xz", source),
        Packing::Bzip2 => corten_layer::bzip2::reader(source),
    }
}

/// The file, unpacked as far as it is packed, where a tar is in it.
///
/// # Errors
/// The disk's.
pub(super) fn archive(mut file: File) -> io::Result<Option<Box<dyn Read>>> {
    let mut head = vec![0; HEAD];
    let length = fill(&mut file, &mut head)?;
    head.truncate(length);
    file.rewind()?;
    let limit = bounds::largest(file.metadata()?.len(), LARGEST);
    let packing = packing(&head);
    if packing != Packing::Plain {
        let mut begin = vec![0; HEAD];
        let Ok(length) =
            opened(packing, BufReader::new(file.try_clone()?)).and_then(|mut reader| fill(&mut reader, &mut begin))
        else {
            return Ok(None);
        };
        begin.truncate(length);
        file.rewind()?;
        head = begin;
    }
    if !is_header(&head) {
        return Ok(None);
    }
    let tar = opened(packing, BufReader::with_capacity(1 << 18, file))?;
    Ok(Some(if packing == Packing::Plain { tar } else { Box::new(Capped::new(tar, limit, "archive")) }))
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Is it a tar header? Its checksum says so: the sum of all bytes, with blanks in its own place.
fn is_header(block: &[u8]) -> bool {
    let (Some(block), Some(written)) = (block.get(..512), block.get(148..156)) else { return false };
    let digits: String = written.iter().map(|&byte| char::from(byte)).collect();
    let Ok(written) = u32::from_str_radix(digits.trim_matches([' ', '\0']), 8) else { return false };
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    // A block of zeros alone is the end of an archive: its field has no digits.
    sum == written
}

/// Unpacks an archive into a folder of the target.
pub(super) fn unpack(
    archive: Box<dyn Read>,
    name: &str,
    target: &mut Target<'_>,
    destination: &str,
    layers: &Layers<'_>,
) -> Result<(), Report> {
    let folder = target.begin(&format!("{}/", destination.trim_end_matches('/')))?;
    let unpacked = Unpacked::read(archive, name, layers)?;
    let source = target.next_source();
    let mut links: HashMap<LayerPath, usize> = HashMap::new();
    for (number, member) in unpacked.members.iter().enumerate() {
        let path = place(target, &folder, &member.entry.path)?;
        let of = unpacked.file_of(number, &folder, target, &links)?;
        let Some(file) = unpacked.members.get(of) else { continue };
        let attributes = if of == number { &member.attributes } else { &file.attributes };
        links.insert(path.clone(), of);
        target.extract(&path, unpacked.item(file, attributes.clone(), source, target.owner()))?;
    }
    Ok(())
}

/// An archive that was read to its end.
struct Unpacked<'a> {
    name: &'a str,
    members: Vec<Member>,
    /// The content of all files.
    spool: Arc<File>,
}

/// What is wrong with an archive.
fn wrong(name: &str, error: TarError) -> Failure {
    match error {
        TarError::Read(error) => unread(name, &error),
        refused => Failure::input(format!("unpacking {name}: {refused}")),
    }
}

fn unread(name: &str, error: &io::Error) -> Failure {
    let failure = Failure::input(format!("unpacking {name}: {error}"));
    match error.kind() {
        io::ErrorKind::FileTooLarge => {
            failure.hint("where so much is right, COPY the archive, and unpack it in a command: RUN tar -xf")
        }
        _ => failure,
    }
}

/// A file of `size` bytes did not come out of an archive, or did not go to the disk.
fn broken(name: &str, size: u64, layers: &Layers<'_>, error: io::Error) -> Report {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let full = StoreError::disk("writing below", layers.store.root(), size, error);
            let hint = "free some space there, or set CORTEN_HOME to a folder on another disk";
            Failure::world(format!("unpacking {name}: {full}")).hint(hint).into()
        }
        _ => unread(name, &error).into(),
    }
}

struct Member {
    entry: Entry,
    attributes: Attributes,
    /// Where its content begins.
    at: u64,
}

impl<'a> Unpacked<'a> {
    fn read(archive: Box<dyn Read>, name: &'a str, layers: &Layers<'_>) -> Result<Self, Report> {
        let mut spool = layers.scratch()?;
        let mut tar = TarReader::new(BufReader::with_capacity(1 << 18, archive));
        let mut members: Vec<Member> = Vec::new();
        let mut unpacked = 0_u64;
        while let Some(entry) = tar.next_entry().map_err(|error| wrong(name, error))? {
            unpacked = unpacked.saturating_add(entry.size);
            if unpacked > LARGEST || members.len() >= MOST_ENTRIES {
                let most = LARGEST >> 30;
                let why = format!("unpacking {name}: it has more than {most} GiB or {MOST_ENTRIES} entries");
                return Err(Failure::input(why).into());
            }
            let mut attributes = tar.attributes().clone();
            attributes.xattrs.retain(|name, _| is_kept(name));
            let at = match entry.kind {
                Kind::File => {
                    let spooled = content::append(&mut spool, &mut tar.content());
                    spooled.map_err(|error| broken(name, entry.size, layers, error))?.0
                }
                _ => 0,
            };
            members.push(Member { entry, attributes, at });
        }
        Ok(Self { name, members, spool: Arc::new(spool) })
    }

    /// Which member is the file of this one: another, if it is a hard link.
    fn file_of(
        &self,
        number: usize,
        folder: &LayerPath,
        target: &Target<'_>,
        known: &HashMap<LayerPath, usize>,
    ) -> Result<usize, Failure> {
        let Some(Member { entry, .. }) = self.members.get(number) else { return Ok(number) };
        let refused = |why: String| Failure::input(format!("unpacking {}: {why}", self.name));
        match &entry.kind {
            Kind::Whiteout | Kind::Opaque => {
                Err(refused(format!("'{}' is a name that layers have for what is gone", entry.path)))
            }
            Kind::HardLink(to) => {
                let to = place(target, folder, to)?;
                let of = known.get(&to).copied();
                of.ok_or_else(|| refused(format!("a hard link to '{to}', which it does not hold before")))
            }
            _ => Ok(number),
        }
    }

    fn item(&self, file: &Member, attributes: Attributes, source: usize, owner: Option<(u64, u64)>) -> Item<'static> {
        let Member { entry, at, .. } = file;
        let is_file = entry.kind == Kind::File;
        let (uid, gid) = owner.unwrap_or((entry.uid, entry.gid));
        Item {
            kind: entry.kind.clone(),
            mode: if matches!(entry.kind, Kind::Symlink(_)) { 0o777 } else { entry.mode },
            uid,
            gid,
            size: entry.size,
            attributes,
            content: if is_file { Content::At(self.spool.clone(), *at) } else { Content::None },
            digest: None,
            file: is_file.then_some((source, entry.offset)),
        }
    }
}

/// Where an entry goes: links above it are followed inside the folder, as if that were the root.
fn place(target: &Target<'_>, folder: &LayerPath, path: &LayerPath) -> Result<LayerPath, Failure> {
    let inside = resolve(&Rooted { target, folder }, path.as_bytes(), Last::Kept)?;
    below(folder, &inside)
}

fn below(folder: &LayerPath, path: &LayerPath) -> Result<LayerPath, Failure> {
    folder.join(path.as_bytes()).map_err(|error| Failure::input(error.to_string()))
}

/// A folder of the target as a root.
struct Rooted<'a, 't> {
    target: &'a Target<'t>,
    folder: &'a LayerPath,
}

impl View for Rooted<'_, '_> {
    fn look(&self, path: &LayerPath) -> Result<Option<Found>, Failure> {
        self.target.look(&below(self.folder, path)?)
    }

    fn children(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        self.target.children(&below(self.folder, folder)?)
    }

    fn below(&self, folder: &LayerPath, jobs: usize) -> Result<Vec<Found>, Failure> {
        self.target.below(&below(self.folder, folder)?, jobs)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// gzip, xz, zstd, bzip2.
    fn packings(content: &[u8]) -> [Vec<u8>; 4] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(content).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(content).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(content).unwrap();
        let zstd = zstd::encode_all(content, 1).unwrap();
        [gzip.finish().unwrap(), xz.finish().unwrap(), zstd, bzip2.finish().unwrap()]
    }

    #[test]
    fn a14_archives_that_are_bombs_are_refused() {
        let mut header = [0_u8; 512];
        header[100..107].copy_from_slice(b"0000644");
        header[..1].copy_from_slice(b"f");
        header[124..135].copy_from_slice(b"70000000000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        // What is packed twice behind itself is unpacked twice: 512 MiB of zeros, of a few thousand bytes to half a million.
        let zeros = packings(&vec![0; 16 << 20]);
        for (begin, zeros) in packings(&header).into_iter().zip(zeros) {
            let bomb = [begin, zeros.repeat(32)].concat();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bomb).unwrap();
            file.rewind().unwrap();
            let mut tar = TarReader::new(BufReader::with_capacity(1 << 18, archive(file).unwrap().unwrap()));
            assert_eq!(tar.next_entry().unwrap().unwrap().size, 7 << 30);
            let error = io::copy(&mut tar.content(), &mut io::sink()).unwrap_err();
            let limit = bounds::largest(bomb.len() as u64, LARGEST) >> 20;
            assert!(limit < 400, "{limit}");
            assert_eq!(error.to_string(), format!("it has more than {limit} MiB uncompressed, which no archive has"));
        }
    }

    #[test]
    fn only_a_tar_is_an_archive() {
        let is = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            archive(file).unwrap().is_some()
        };
        let mut header = [0_u8; 1536];
        header[..1].copy_from_slice(b"f");
        header[100..107].copy_from_slice(b"0000644");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header[..512].iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        assert!(is(&header));
        for packed in packings(&header) {
            assert!(is(&packed), "{:x?}", &packed[..6]);
        }
        header[0] = b'g';
        assert!(!is(&header), "the checksum is wrong");
        assert!(!is(b""));
        assert!(!is(&[0; 2048]));
        assert!(!is(b"\x1f\x8b\x08 not gzip at all"));
        assert!(!is(b"BZh9 not bzip2 at all"));
    }
}
