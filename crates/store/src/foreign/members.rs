//! A tar of files, by name: OCI layouts and docker archives that were not unpacked.
//!
//! Its members are read where they lie. Older versions of Docker, and podman, write links between them; they are followed
//! inside the tar alone.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use corten_layer::tar::TarReader;
use corten_oci::{Digest, Index, Kind, LARGEST_DOCUMENT, LayerPath};

use super::take::Bytes;
use super::walk::Layout;
use super::{ForeignError, refused};
use crate::{StoreError, disk, layout};

/// Members that a tar of images may have.
const MOST: usize = 100_000;
/// A link to a link to a link …
const MOST_LINKS: usize = 8;

/// How compressed files begin.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (b"BZh", "bzip2"),
];

/// The compression of a file that begins so.
pub(super) fn compression(head: &[u8]) -> Option<&'static str> {
    COMPRESSED.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

enum Member {
    File { offset: u64, size: u64 },
    Link(Vec<u8>),
}

/// What lies in a tar.
pub(super) struct Members {
    path: PathBuf,
    all: BTreeMap<Vec<u8>, Member>,
}

impl Members {
    /// Reads the headers of a tar; of two members with one name the last counts.
    pub(super) fn open(path: &Path) -> Result<Self, ForeignError> {
        let mut file = disk::open_regular(path).map_err(|error| match disk::is_absent(&error) {
            true => ForeignError::Absent {
                place: path.display().to_string(),
                hint: "`docker save`, `podman save` and `corten build -o type=docker,dest=FILE` write one".into(),
            },
            false => StoreError::disk("reading", path, 0, error).into(),
        })?;
        let reading = |error| StoreError::disk("reading", path, 0, error);
        let mut head = Vec::new();
        file.by_ref().take(6).read_to_end(&mut head).map_err(reading)?;
        if let Some(name) = compression(&head) {
            return Err(refused(path, format!("the tar is compressed with {name}: uncompress it first")));
        }
        let file = disk::open_regular(path).map_err(reading)?;
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 16, file));
        let mut all = BTreeMap::new();
        while let Some(entry) = reader.next_entry().map_err(|error| refused(path, error.to_string()))? {
            let member = match entry.kind {
                Kind::File => Member::File { offset: entry.offset, size: entry.size },
                Kind::HardLink(to) => Member::Link(to.as_bytes().to_vec()),
                Kind::Symlink(to) => match joined(&entry.path, &to) {
                    Some(to) => Member::Link(to),
                    None => return Err(refused(path, format!("{} is a link to {to}, outside the tar", entry.path))),
                },
                _ => continue,
            };
            all.insert(entry.path.as_bytes().to_vec(), member);
            if all.len() > MOST {
                return Err(refused(path, format!("it has more than {MOST} members")));
            }
        }
        Ok(Self { path: path.to_owned(), all })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a member's bytes are; none where there is no such member.
    pub(super) fn find(&self, name: &str, digest: Option<Digest>) -> Result<Option<Bytes>, ForeignError> {
        let wrong = |why: &str| refused(&self.path, format!("{name}: {why}"));
        let mut at = LayerPath::new(name).map_err(|error| wrong(&error.to_string()))?.as_bytes().to_vec();
        for _ in 0..MOST_LINKS {
            match self.all.get(&at) {
                None => return Ok(None),
                Some(Member::Link(to)) => at = to.clone(),
                Some(Member::File { offset, size }) => {
                    let file = disk::open_regular(&self.path)
                        .map_err(|error| StoreError::disk("reading", &self.path, 0, error))?;
                    let part = Some(*offset);
                    return Ok(Some(Bytes { file, path: self.path.clone(), part, size: *size, digest }));
                }
            }
        }
        Err(wrong("its links go round in a circle"))
    }

    /// A whole small member.
    pub(super) fn small(&self, name: &str) -> Result<Option<Vec<u8>>, ForeignError> {
        let Some(bytes) = self.find(name, None)? else { return Ok(None) };
        if bytes.size > LARGEST_DOCUMENT {
            return Err(refused(&self.path, format!("{name} of {} bytes is too large", bytes.size)));
        }
        let mut content = Vec::new();
        let read = bytes.open().and_then(|mut reader| reader.read_to_end(&mut content));
        read.map_err(|error| StoreError::from_io("reading", &self.path, error))?;
        Ok(Some(content))
    }
}

/// Where a link of a tar leads; none where that is outside.
fn joined(from: &LayerPath, to: &str) -> Option<Vec<u8>> {
    let parent = from.parent().unwrap_or_default();
    let mut parts: Vec<&[u8]> = match to.starts_with('/') {
        true => return None,
        false => parent.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect(),
    };
    for part in to.as_bytes().split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join(&b'/'))
}

impl Layout for Members {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn index(&self) -> Result<Index, ForeignError> {
        let absent = |name: &str| refused(&self.path, format!("it has no {name}, so it is no OCI layout"));
        let index = self.small(layout::INDEX)?.ok_or_else(|| absent(layout::INDEX))?;
        Index::parse(&index).map_err(|error| refused(&self.path, error.to_string()))
    }

    fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<Bytes, ForeignError> {
        let bytes = self.find(&format!("{}/{}", layout::BLOBS, digest.hex()), Some(*digest))?;
        let bytes = bytes.ok_or_else(|| {
            ForeignError::Store(StoreError::damaged(&self.path, format!("blob {digest}, which is named, is missing")))
        })?;
        match size {
            Some(size) if size != bytes.size => {
                let why = format!("blob {digest} has {} bytes, its descriptor says {size}", bytes.size);
                Err(StoreError::damaged(&self.path, why).into())
            }
            _ => Ok(bytes),
        }
    }
}
