//! Bytes as a capability.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use crate::{Descriptor, Digest};

/// Content by descriptor.
///
/// An implementor owes: the reader yields exactly `descriptor.size` bytes whose hash is `descriptor.digest`, or an
/// error before the end; a missing blob is [`io::ErrorKind::NotFound`]. A caller owes: it reads to the end before it
/// trusts what it has read.
pub trait Blobs {
    /// Opens the content for reading.
    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>>;

    /// Opens the content from a byte on, for somebody who hashes it himself (a registry that was told its digest). So only
    /// its size need be right; what cannot be checked elsewhere is read with [`Blobs::open`].
    fn open_unchecked(&self, descriptor: &Descriptor, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut reader = self.open(descriptor)?;
        io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
        Ok(reader)
    }

    /// Is it there?
    fn has(&self, digest: &Digest) -> io::Result<bool>;
}

/// Blobs in memory: for small documents that are not stored yet, and for tests.
#[derive(Debug, Default, Clone)]
pub struct MemoryBlobs(BTreeMap<Digest, Vec<u8>>);

impl MemoryBlobs {
    /// Keeps `bytes`, says under which digest.
    pub fn insert(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        digest
    }
}

impl Blobs for MemoryBlobs {
    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        match self.0.get(&descriptor.digest) {
            Some(bytes) if bytes.len() as u64 == descriptor.size => Ok(Box::new(Cursor::new(bytes))),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn has(&self, digest: &Digest) -> io::Result<bool> {
        Ok(self.0.contains_key(digest))
    }
}
