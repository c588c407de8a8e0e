//! The one strict reader of tar: ustar, PAX, GNU long names.
//!
//! Scanning, comparing, billing and unpacking all read a layer through here, so none of them can be shown another
//! archive than the others. Where the readers that people use (GNU tar, Python's `tarfile`, Go's `archive/tar`,
//! libarchive) disagree about some bytes, those bytes are refused: there is never a second interpretation.
//!
//! ```text
//! [global PAX]*  ( [PAX | GNU long name, GNU long link]  header  content  padding )*  zero block(s) to the end
//! ```
//!
//! | met | done |
//! |---|---|
//! | wrong checksum, odd digits, negative sizes, content behind a link or directory | refused |
//! | sparse files, multi-volume, dump directories, unknown types | refused |
//! | PAX and GNU extensions for one entry, the same extension twice, an extension of nothing | refused |
//! | a global PAX header that says something about entries (path, size, owner, time) | refused |
//! | truncation, no end-of-archive block, anything but zeros behind it | refused |
//! | a name that climbs out of the root | refused; `..` inside it is taken off as text, as docker and containerd do |
//! | a hard link's target | read as inside a `chroot`: `..` at the root stays there |
//! | something else than a directory that is named as the root | left out, as containerd does |
//! | extended attributes (`SCHILY.xattr.`) | handed out; more than 256 of an entry, or one above 64 KiB: refused |
//! | user and group names, access times | read over |
//!
//! Sources: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format";
//! OCI image specification 1.1, "Image Layer Filesystem Changeset".

mod header;
mod index;
mod pax;
#[cfg(test)]
pub(crate) mod tests;

use std::io::{self, Read};

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::{Entry, Kind, LayerPath};

use crate::attributes::Attributes;
use header::{BLOCK, Header};
use pax::Extended;

pub use index::{Indexed, index};

/// Bytes that one PAX header or GNU long name may have. Go's reader has the same limit.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Bytes of a path or link target: what the kernel takes (`PATH_MAX`, less its NUL).
pub(crate) const PATH_LIMIT: usize = 4095;
/// Bytes of one component of a path (`NAME_MAX`).
const NAME_LIMIT: usize = 255;
/// Components of a path. Real images have fewer than 60.
const DEPTH_LIMIT: usize = 512;
/// In front of a name: the name is gone.
const WHITEOUT: &[u8] = b".wh.";
/// What a directory holds whose lower content is gone.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads entries one after another.
///
/// After an error the archive is not to be trusted, and every further call fails too.
pub struct TarReader<R: Read> {
    source: R,
    /// Bytes taken from `source`.
    position: u64,
    /// Content of the current entry that has not been read yet.
    content: u64,
    /// Zeros that follow that content.
    padding: u64,
    /// Headers of entries seen, for messages.
    number: u64,
    attributes: Attributes,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes are not a tar that may be trusted.
    #[error("tar entry {number} at byte {offset}: {why}")]
    Refused {
        /// Counted from 0.
        number: u64,
        /// Of its header, in the uncompressed archive.
        offset: u64,
        /// Which rule it breaks.
        why: String,
    },
    /// The source failed.
    #[error("reading tar: {0}")]
    Read(#[from] io::Error),
}

impl Diagnose for TarError {
    /// Archives are what a server sent.
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused { .. } => vec!["the archive was made wrong or by an attacker: ask whoever made it".into()],
            Self::Read(_) => Vec::new(),
        }
    }
}

/// What stands in front of an entry's header.
#[derive(Default)]
struct Extensions {
    pax: Option<Extended>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<R: Read> TarReader<R> {
    /// Reads from the start of an uncompressed archive. Headers are read 512 bytes at a time: buffer the source.
    pub fn new(source: R) -> Self {
        Self {
            source,
            position: 0,
            content: 0,
            padding: 0,
            number: 0,
            attributes: Attributes::default(),
            state: State::Reading,
        }
    }

    /// The next entry; its content must be taken from [`TarReader::content`] before the next call, else it is skipped.
    ///
    /// None comes only when the archive has been read to its last byte. `entry.offset` is where the content begins;
    /// `entry.crc32` is not known yet.
    ///
    /// # Errors
    /// [`TarError::Refused`] for everything in the module's table; [`TarError::Read`] when the source fails.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        match self.state {
            State::Ended => return Ok(None),
            State::Failed => return Err(self.refuse(self.position, "read on after an error")),
            State::Reading => self.state = State::Failed,
        }
        let entry = self.advance()?;
        self.state = if entry.is_some() { State::Reading } else { State::Ended };
        Ok(entry)
    }

    /// The modification time (seconds since 1970, rounded down) of the entry that was last returned.
    pub fn mtime(&self) -> i64 {
        self.attributes.mtime
    }

    /// Time and extended attributes of the entry that was last returned; of all names, also of such as must not reach a disk
    /// (see [`crate::attributes::is_kept`]).
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The content of the entry that was last returned.
    pub fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    fn advance(&mut self) -> Result<Option<Entry>, TarError> {
        loop {
            self.skip_content()?;
            let start = self.position;
            let entry = self.read_entry(start)?;
            match entry {
                None => return Ok(None),
                // Whoever extracted this would have to replace the root itself.
                Some(entry) if entry.path.is_root() && !matches!(entry.kind, Kind::Directory | Kind::Opaque) => {}
                Some(entry) => return Ok(Some(entry)),
            }
        }
    }

    /// Reads extensions and the header that they belong to.
    fn read_entry(&mut self, start: u64) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            let at = self.position;
            let Some(block) = self.read_block()? else {
                return Err(self.refuse(at, "the archive ends without an end-of-archive block"));
            };
            if block.iter().all(|&byte| byte == 0) {
                if !extensions.is_empty() {
                    return Err(self.refuse(at, "an extension header belongs to no entry"));
                }
                self.read_end()?;
                return Ok(None);
            }
            let header = Header::parse(&block).map_err(|why| self.refuse(at, why))?;
            if !self.take_extension(&header, &mut extensions).map_err(|error| self.place(at, error))? {
                let entry = self.entry(header, extensions).map_err(|why| self.refuse(start, why))?;
                self.number += 1;
                return Ok(Some(entry));
            }
        }
    }

    /// Is it an extension header? Then it is taken.
    fn take_extension(&mut self, header: &Header, extensions: &mut Extensions) -> Result<bool, Broken> {
        match header.kind {
            b'x' => {
                if !extensions.is_empty() {
                    return Err("a PAX header follows another extension header".into());
                }
                extensions.pax = Some(pax::parse(&self.read_extension(header)?)?);
            }
            b'g' => {
                if !extensions.is_empty() {
                    return Err("a global PAX header stands between an extension header and its entry".into());
                }
                pax::parse_global(&self.read_extension(header)?)?;
            }
            b'L' => self.take_long(header, extensions.pax.is_some(), &mut extensions.long_name)?,
            b'K' => self.take_long(header, extensions.pax.is_some(), &mut extensions.long_link)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_long(&mut self, header: &Header, mixed: bool, long: &mut Option<Vec<u8>>) -> Result<(), Broken> {
        if mixed {
            return Err("GNU and PAX extension headers are mixed".into());
        }
        if long.is_some() {
            return Err("a GNU long name follows another".into());
        }
        let text = self.read_extension(header)?;
        *long = Some(header::text_to_nul(&text).ok_or("a GNU long name goes on behind its NUL")?.to_vec());
        Ok(())
    }

    fn read_extension(&mut self, header: &Header) -> Result<Vec<u8>, Broken> {
        if header.size > EXTENSION_LIMIT {
            return Err(Broken::Rule(format!(
                "an extension header of {} bytes is over the limit of 1 MiB",
                header.size
            )));
        }
        self.set_content(header.size);
        let mut payload = Vec::new();
        self.content().read_to_end(&mut payload)?;
        self.skip_content()?;
        Ok(payload)
    }

    fn entry(&mut self, header: Header, extensions: Extensions) -> Result<Entry, String> {
        let pax = extensions.pax.unwrap_or_default();
        let name = pax.path.or(extensions.long_name).map_or_else(|| header.full_name(), Ok)?;
        let link = pax.link.or(extensions.long_link).unwrap_or_else(|| header.link.clone());
        let size = pax.size.unwrap_or(header.size);
        let (path, kind) = classify(&header, &name, &link)?;
        if header.kind_has_no_content() && size != 0 {
            return Err(format!("a link, directory or device with {size} bytes of content"));
        }
        let end = size.checked_add(BLOCK as u64).and_then(|size| size.checked_add(self.position));
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Err(format!("a file of {size} bytes is longer than an archive can be"));
        }
        self.set_content(size);
        self.attributes = Attributes { mtime: pax.mtime.unwrap_or(header.mtime), xattrs: pax.xattrs };
        Ok(Entry {
            path,
            mode: header.mode & 0o7777,
            uid: pax.uid.unwrap_or(header.uid),
            gid: pax.gid.unwrap_or(header.gid),
            size: if kind == Kind::File { size } else { 0 },
            kind,
            crc32: None,
            offset: self.position,
            package: None,
        })
    }

    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let rest = self.content + self.padding;
        let skipped = io::copy(&mut self.source.by_ref().take(rest), &mut io::sink())?;
        self.position += skipped;
        if skipped < rest {
            return Err(self.refuse(self.position, "the archive is cut off inside an entry's content"));
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    /// A block, or none at the end of the source.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += filled as u64;
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.refuse(self.position, "the archive is cut off inside a block")),
        }
    }

    /// One zero block has been read; POSIX wants two, and all readers are content with one. What follows is zero.
    fn read_end(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 8192];
        loop {
            let at = self.position;
            match self.source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    self.position += read as u64;
                    if buffer[..read].iter().any(|&byte| byte != 0) {
                        return Err(self.refuse(at, "something follows the end-of-archive block"));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn refuse(&self, offset: u64, why: impl Into<String>) -> TarError {
        TarError::Refused { number: self.number, offset, why: why.into() }
    }

    fn place(&self, offset: u64, broken: Broken) -> TarError {
        match broken {
            Broken::Rule(why) => self.refuse(offset, why),
            Broken::Tar(error) => error,
        }
    }
}

/// A rule that is broken at a place that the caller knows, or an error that knows its place.
enum Broken {
    Rule(String),
    Tar(TarError),
}

impl From<&str> for Broken {
    fn from(why: &str) -> Self {
        Self::Rule(why.to_owned())
    }
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self::Rule(why)
    }
}

impl From<TarError> for Broken {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Tar(error.into())
    }
}

struct Content<'a, R: Read>(&'a mut TarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        let wanted = usize::try_from(reader.content).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = reader.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut off inside an entry's content",
            ));
        }
        reader.content -= read as u64;
        reader.position += read as u64;
        Ok(read)
    }
}

/// Where an entry lies and what it is.
fn classify(header: &Header, name: &[u8], link: &[u8]) -> Result<(LayerPath, Kind), String> {
    let path = clean_name(name)?;
    let slash = name.ends_with(b"/");
    let kind = match header.kind {
        b'0' if slash => return Err("a file's name ends in '/': some readers take it for a directory".into()),
        0 if slash => Kind::Directory,
        b'0' | 0 => Kind::File,
        b'1' => Kind::HardLink(clean_target(link)?),
        b'2' => Kind::Symlink(symlink_target(link)?),
        b'3' if header.device == (0, 0) => {
            return Err("device 0:0 is an overlayfs whiteout, which no layer may hold".into());
        }
        b'3' => Kind::CharacterDevice(header.device.0, header.device.1),
        b'4' => Kind::BlockDevice(header.device.0, header.device.1),
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err("sparse files are not read".into()),
        other => return Err(format!("type '{}' is not read", other.escape_ascii())),
    };
    whiteout(path, kind)
}

/// Takes `.wh.` names apart.
fn whiteout(path: LayerPath, kind: Kind) -> Result<(LayerPath, Kind), String> {
    let Some(hidden) = path.name().strip_prefix(WHITEOUT) else {
        return Ok((path, kind));
    };
    if kind != Kind::File {
        return Err(format!("whiteout '{path}' is not a regular file"));
    }
    let directory = path.parent().unwrap_or_default();
    if path.name() == OPAQUE {
        return Ok((directory, Kind::Opaque));
    }
    match hidden {
        b"" | b"." | b".." => Err(format!("whiteout '{path}' hides no name")),
        _ if hidden.starts_with(WHITEOUT) => Err(format!("'{path}' is reserved for whiteouts")),
        _ => Ok((directory.join(hidden).map_err(|error| error.to_string())?, Kind::Whiteout)),
    }
}

/// A path whose `..` are taken off as text. One that leads above the root is refused unless it ends there.
fn clean_name(name: &[u8]) -> Result<LayerPath, String> {
    let (path, climbs) = clean(name)?;
    if climbs && !path.is_root() {
        return Err(format!("name '{}' climbs out of the root", String::from_utf8_lossy(name)));
    }
    Ok(path)
}

/// As inside a `chroot`: `..` at the root stays there.
fn clean_target(target: &[u8]) -> Result<LayerPath, String> {
    let (path, _) = clean(target)?;
    if path.is_root() {
        return Err("a hard link to the root".into());
    }
    Ok(path)
}

fn clean(bytes: &[u8]) -> Result<(LayerPath, bool), String> {
    if bytes.len() > PATH_LIMIT {
        return Err(format!("a path of {} bytes is over the limit of {PATH_LIMIT}", bytes.len()));
    }
    let (mut components, mut climbs) = (Vec::new(), false);
    for component in bytes.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => climbs |= components.pop().is_none(),
            name if name.len() > NAME_LIMIT => {
                return Err(format!("a name of {} bytes is over the limit of {NAME_LIMIT}", name.len()));
            }
            name => components.push(name),
        }
    }
    if components.len() > DEPTH_LIMIT {
        return Err(format!("a path of {} components is over the limit of {DEPTH_LIMIT}", components.len()));
    }
    let path = LayerPath::new(components.join(&b'/')).map_err(|error| error.to_string())?;
    Ok((path, climbs))
}

fn symlink_target(target: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(target) {
        Ok("") => Err("a symbolic link without a target".into()),
        Ok(text) if text.len() > PATH_LIMIT => {
            Err(format!("a link target of {} bytes is over the limit of {PATH_LIMIT}", text.len()))
        }
        Ok(text) if text.contains('\0') => Err("a link target with a NUL byte".into()),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("a link target that is not UTF-8".into()),
    }
}
