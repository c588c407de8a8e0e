//! One layer, written entry by entry. The tar is the same for every compression but eStargz, which has two entries of
//! its own; so the diff id is too.
//!
//! | call | splice | eStargz | gzip, zstd, plain tar |
//! |---|---|---|---|
//! | [`LayerWriter::bare`] | header through the frozen encoder | the same | header |
//! | [`LayerWriter::file`] | small bytes as the header, big ones by zlib-rs | members of at most 4 MiB | header, bytes |
//! | [`LayerWriter::deflated`] | the stream verbatim ([`crate::splice`]); inflated once, to check and to hash | a member of its own | inflated |
//!
//! Memory does not depend on the content: a few buffers of 256 KiB, and a few pieces for each thread while content is
//! compressed ([`crate::compress`]).
//! What was written before an error is rubbish, so after one every call fails.
//!
//! `deflated` believes nothing that a zip says of a member: the stream must end where its compressed size says, give
//! exactly the bytes and the CRC-32 that are claimed, and nothing may follow its last block.

mod header;
mod tar_hash;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use corten_oci::{DiffId, Digest, Entry, Kind, LayerIndex, LayerPath, MediaType};

use self::header::BLOCK;
use self::tar_hash::TarHash;
use crate::attributes::Attributes;
use crate::compress::{Compressor, Method};
use crate::estargz::{self, Estargz};
use crate::pool::processors;
use crate::splice::{GzipMember, Origin};
use crate::walk::{Claim, Sides, Walker, invalid, read_full};

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all (`.tar`).
    Stored,
    /// gzip, one member: deflated members verbatim, all else as zlib's level 6 (layout m0).
    Splice,
    /// gzip, one member: everything compressed anew, in pieces of 1 MiB, by libdeflate's level 6.
    Gzip,
    /// zstd's level 3, in independent frames of 4 MiB.
    Zstd,
    /// gzip, one member for each file (layout m2): eStargz, which can be pulled file by file. Deflated members are
    /// verbatim unless they hold more than 32 MiB: those are cut into chunks and compressed anew.
    Estargz,
}

impl Compression {
    /// Of the blob.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::Stored => MediaType::LAYER.into(),
            Self::Splice | Self::Gzip | Self::Estargz => MediaType::LAYER_GZIP.into(),
            Self::Zstd => MediaType::LAYER_ZSTD.into(),
        }
    }

    /// Name and version of the rules by which a tar becomes a blob: a part of every key. Changes whenever any byte would,
    /// also by another version of an engine.
    pub fn format(self) -> &'static str {
        match self {
            Self::Stored => "tar",
            Self::Splice => "splice 1",
            Self::Gzip => "gzip 1",
            Self::Zstd => "zstd 1",
            Self::Estargz => "estargz 1",
        }
    }
}

/// What was written. The blob's own digest and size are the sink's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// What lies in it.
    pub index: LayerIndex,
    /// Of the table of contents, for eStargz.
    pub table: Option<Digest>,
}

impl Written {
    /// What the blob's descriptor must say of an eStargz layer (stargz-snapshotter, docs/estargz.md); nothing for others.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let Some(table) = &self.table else { return BTreeMap::new() };
        let size = self.tar_size.to_string();
        [(estargz::TABLE_DIGEST, table.to_string()), (estargz::TAR_SIZE, size)]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }
}

/// Looks at the content of files as they are written; decides nothing.
pub trait Watch: Send {
    /// A file begins.
    fn begin(&mut self, entry: &Entry);
    /// More of its bytes, uncompressed.
    fn content(&mut self, bytes: &[u8]);
    /// It is complete.
    fn end(&mut self);
}

/// Raw deflate bytes as they lie in a zip member.
pub struct Deflated<'a> {
    /// The deflate stream, exactly `compressed_size` bytes.
    pub stream: &'a mut dyn Read,
    /// Bytes of the stream.
    pub compressed_size: u64,
    /// CRC-32 of the content, as the zip directory claims; checked.
    pub crc32: u32,
}

/// Writes a deterministic tar (ustar, PAX where ustar is too small), compressed or plain.
///
/// Parents are the caller's business: entries come out in the order of the calls. `entry.size` must be the content's;
/// `entry.crc32` and `entry.offset` are filled in for the index. mtime is one constant for the whole layer, unless an entry
/// comes with [`Attributes`] of its own.
///
/// Errors: `InvalidData` where content is not what was claimed, `InvalidInput` where an entry cannot be written to a
/// tar or means something else in a layer (`.wh.` names), else the sink's or the reader's own.
pub struct LayerWriter<W: Write> {
    output: Output<W>,
    tar: TarHash,
    mtime: u64,
    /// What entries have that come without attributes.
    usual: Attributes,
    index: LayerIndex,
    walker: Option<Walker>,
    failed: bool,
    watch: Option<Box<dyn Watch>>,
}

enum Output<W: Write> {
    Stored(W),
    Splice(Box<GzipMember<W>>),
    Compressed(Box<Compressor<W>>),
    Estargz(Box<Estargz<W>>),
}

impl<W: Write> Output<W> {
    /// Bytes of the tar that go through our own encoders.
    fn plain(&mut self, bytes: &[u8], origin: Origin) -> io::Result<()> {
        match (self, origin) {
            (Self::Stored(sink), _) => sink.write_all(bytes),
            (Self::Splice(member), _) => member.plain(bytes, origin),
            (Self::Compressed(compressor), _) => compressor.write_all(bytes),
            (Self::Estargz(estargz), Origin::Frame) => estargz.frame(bytes),
            (Self::Estargz(estargz), Origin::Content) => estargz.content(bytes),
        }
    }
}

impl<W: Write> LayerWriter<W> {
    /// `mtime`: seconds since 1970 for every entry. Compresses on as many threads as there are processors.
    pub fn new(sink: W, compression: Compression, mtime: u64) -> Self {
        Self::with_threads(sink, compression, mtime, processors())
    }

    /// Compresses on at most so many threads (eight at most are used); the bytes are the same.
    pub fn with_threads(sink: W, compression: Compression, mtime: u64, threads: NonZeroUsize) -> Self {
        let compressed = |sink, method| Output::Compressed(Box::new(Compressor::with_threads(sink, method, threads)));
        let output = match compression {
            Compression::Stored => Output::Stored(sink),
            Compression::Splice => Output::Splice(Box::new(GzipMember::new(sink, threads))),
            Compression::Gzip => compressed(sink, Method::Gzip),
            Compression::Zstd => compressed(sink, Method::Zstd),
            Compression::Estargz => Output::Estargz(Box::new(Estargz::new(sink, threads))),
        };
        let (tar, index) = (TarHash::new(), LayerIndex::default());
        let usual = Attributes::at(i64::try_from(mtime).unwrap_or(i64::MAX));
        Self { output, tar, mtime, usual, index, walker: None, failed: false, watch: None }
    }

    /// With somebody who sees every file.
    #[must_use]
    pub fn watched(mut self, watch: impl Watch + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// A directory, link, whiteout, or an empty file.
    pub fn bare(&mut self, entry: Entry) -> io::Result<()> {
        self.file(entry, &mut io::empty())
    }

    /// A file whose bytes are in hand or come from a reader: exactly `entry.size` of them.
    pub fn file(&mut self, entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        self.attempt(entry, None, |writer, entry| writer.copied(entry.size, content))
    }

    /// As [`LayerWriter::bare`] and [`LayerWriter::file`], with a time and extended attributes of its own.
    ///
    /// # Errors
    /// Also `InvalidInput` where attributes are more or larger than readers take, and `Unsupported` for eStargz, whose table
    /// has no place for them.
    pub fn with(&mut self, entry: Entry, attributes: &Attributes, content: &mut dyn Read) -> io::Result<()> {
        if let Output::Estargz(_) = self.output {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "eStargz has one time for all entries"));
        }
        self.attempt(entry, Some(attributes), |writer, entry| writer.copied(entry.size, content))
    }

    /// A file whose bytes are already deflated; `suffix` is appended to its content (RECORD lines).
    /// `entry.size` is the whole, suffix included. Inflates once to check CRC, size and end of stream.
    pub fn deflated(&mut self, entry: Entry, content: Deflated<'_>, suffix: &[u8]) -> io::Result<()> {
        self.attempt(entry, None, |writer, entry| {
            let size = entry.size.checked_sub(suffix.len() as u64);
            let size = size.ok_or_else(|| invalid("it is smaller than what is appended to it".to_owned()))?;
            let mut crc = writer.spliced(content, size)?;
            crc.update(suffix);
            writer.plain(suffix, Origin::Content)?;
            Ok(crc)
        })
    }

    /// Where the content of the last entry begins in the uncompressed tar, in bytes.
    pub fn offset(&self) -> u64 {
        self.index.entries.last().map_or(0, |entry| entry.offset)
    }

    /// Ends the tar and its compression, gives the sink back.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        if self.failed {
            return Err(io::Error::other("the layer is unusable after an earlier error"));
        }
        self.landmark()?;
        let end = [0; 2 * BLOCK];
        let mut table = None;
        let sink = match self.output {
            Output::Stored(mut sink) => {
                self.tar.push(&end)?;
                sink.write_all(&end)?;
                sink
            }
            Output::Splice(mut member) => {
                self.tar.push(&end)?;
                member.plain(&end, Origin::Frame)?;
                member.finish()?
            }
            Output::Compressed(mut compressor) => {
                self.tar.push(&end)?;
                compressor.write_all(&end)?;
                compressor.finish()?
            }
            Output::Estargz(mut estargz) => {
                let (content, digest) = estargz.table()?;
                table = Some(digest);
                let mut entry = own_entry(estargz::TABLE, content.len());
                let mut tail = header::encode(&entry, &self.usual)?;
                entry.offset = self.tar.size() + tail.len() as u64;
                entry.crc32 = Some(crc32fast::hash(&content));
                self.index.entries.push(entry);
                tail.extend_from_slice(&content);
                tail.resize(tail.len().next_multiple_of(BLOCK), 0);
                tail.extend_from_slice(&end);
                self.tar.push(&tail)?;
                estargz.finish(tail)?
            }
        };
        let tar_size = self.tar.size();
        Ok((sink, Written { diff_id: self.tar.finish()?, tar_size, index: self.index, table }))
    }

    /// Header, content (whose CRC `write` gives back), padding, index.
    fn attempt(
        &mut self,
        entry: Entry,
        attributes: Option<&Attributes>,
        write: impl FnOnce(&mut Self, &Entry) -> io::Result<crc32fast::Hasher>,
    ) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("the layer is unusable after an earlier error"));
        }
        self.failed = true;
        self.landmark()?;
        self.write_entry(entry, attributes, write)?;
        self.failed = false;
        Ok(())
    }

    fn write_entry(
        &mut self,
        mut entry: Entry,
        attributes: Option<&Attributes>,
        write: impl FnOnce(&mut Self, &Entry) -> io::Result<crc32fast::Hasher>,
    ) -> io::Result<()> {
        let header = header::encode(&entry, attributes.unwrap_or(&self.usual))?;
        self.plain(&header, Origin::Frame)?;
        if let Output::Estargz(estargz) = &mut self.output {
            estargz.begin(&entry, &header::name(&entry)?, self.mtime).map_err(|error| about(&entry, &error))?;
        }
        entry.offset = self.tar.size();
        if let Some(watch) = &mut self.watch {
            watch.begin(&entry);
        }
        let crc = write(self, &entry).map_err(|error| about(&entry, &error))?;
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
        if let Output::Estargz(estargz) = &mut self.output {
            estargz.end()?;
        }
        entry.crc32 = (entry.kind == Kind::File).then(|| crc.finalize());
        let padding = self.tar.size().next_multiple_of(BLOCK as u64) - self.tar.size();
        self.plain(&[0; BLOCK][..padding as usize], Origin::Frame)?;
        self.index.entries.push(entry);
        Ok(())
    }

    /// The first entry of an eStargz layer: nothing of it is to be fetched before a container starts.
    fn landmark(&mut self) -> io::Result<()> {
        if !matches!(self.output, Output::Estargz(_)) || !self.index.entries.is_empty() {
            return Ok(());
        }
        let content = estargz::LANDMARK_CONTENT;
        let entry = own_entry(estargz::LANDMARK, content.len());
        self.write_entry(entry, None, |writer, entry| writer.copied(entry.size, &mut content.as_slice()))
    }

    fn plain(&mut self, bytes: &[u8], origin: Origin) -> io::Result<()> {
        self.tar.push(bytes)?;
        self.output.plain(bytes, origin)
    }

    /// Read to where the tar is hashed, and written from there.
    fn copied(&mut self, size: u64, content: &mut dyn Read) -> io::Result<crc32fast::Hasher> {
        let mut crc = crc32fast::Hasher::new();
        let mut left = size;
        while left > 0 {
            let space = self.tar.space()?;
            let want = usize::try_from(left).unwrap_or(space.len()).min(space.len());
            let filled = read_full(content, &mut space[..want])?;
            if filled == 0 {
                return Err(invalid(format!("it has only {} of {size} bytes", size - left)));
            }
            let bytes = self.tar.advance(filled);
            crc.update(bytes);
            if let Some(watch) = &mut self.watch {
                watch.content(bytes);
            }
            self.output.plain(bytes, Origin::Content)?;
            left -= filled as u64;
        }
        if read_full(content, &mut [0])? > 0 {
            return Err(invalid(format!("it has more than {size} bytes")));
        }
        Ok(crc)
    }

    fn spliced(&mut self, content: Deflated<'_>, size: u64) -> io::Result<crc32fast::Hasher> {
        let claim = Claim { compressed_size: content.compressed_size, size, crc32: content.crc32 };
        let mut walker = match self.walker.take() {
            Some(walker) => walker,
            None => Walker::new()?,
        };
        // A stream without content is checked like any other, but nothing of it is kept.
        let keep = match &mut self.output {
            _ if size == 0 => false,
            Output::Splice(member) => member.start_stream().map(|()| true)?,
            Output::Estargz(estargz) if size <= estargz::LARGEST_STREAM => estargz.start_stream().map(|()| true)?,
            _ => false,
        };
        let mut splice = Splice { tar: &mut self.tar, output: &mut self.output, keep, watch: &mut self.watch };
        let last_byte = walker.walk(content.stream, &claim, &mut splice)?;
        match &mut self.output {
            Output::Splice(member) if keep => member.end_stream(last_byte, claim.crc32, size),
            Output::Estargz(estargz) if keep => estargz.end_stream(last_byte, claim.crc32, size)?,
            _ => {}
        }
        self.walker = Some(walker);
        Ok(crc32fast::Hasher::new_with_initial_len(claim.crc32, size))
    }
}

/// Content to the hash of the tar; content or stream to the sink.
struct Splice<'a, W: Write> {
    tar: &'a mut TarHash,
    output: &'a mut Output<W>,
    /// Is the stream kept as it is?
    keep: bool,
    watch: &'a mut Option<Box<dyn Watch>>,
}

impl<W: Write> Sides for Splice<'_, W> {
    fn space(&mut self) -> io::Result<&mut [u8]> {
        self.tar.space()
    }

    fn inflated(&mut self, count: usize) -> io::Result<()> {
        let content = self.tar.advance(count);
        if let Some(watch) = self.watch {
            watch.content(content);
        }
        match self.output {
            Output::Stored(sink) => sink.write_all(content),
            Output::Splice(_) => Ok(()),
            Output::Compressed(compressor) => compressor.write_all(content),
            Output::Estargz(estargz) if self.keep => {
                estargz.inflated(content);
                Ok(())
            }
            Output::Estargz(estargz) => estargz.content(content),
        }
    }

    fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.output {
            Output::Splice(member) if self.keep => member.verbatim(bytes),
            Output::Estargz(estargz) if self.keep => estargz.verbatim(bytes),
            _ => Ok(()),
        }
    }

    fn goes_on(&self) -> bool {
        matches!(self.output, Output::Splice(_))
    }
}

/// A file of eStargz's own.
fn own_entry(name: &str, size: usize) -> Entry {
    // The names are constants that are paths.
    let path = LayerPath::new(name).unwrap_or_default();
    let size = size as u64;
    Entry { path, kind: Kind::File, mode: 0o644, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
}

/// Says which entry an error is about; keeps its kind.
fn about(entry: &Entry, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write '{}' to a layer: {error}", entry.path))
}
