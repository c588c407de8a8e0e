//! Reads one .deb: an ar archive of exactly three members.
//!
//! ```text
//! debian-binary   "2.0\n"
//! control.tar.*   control, conffiles, md5sums, triggers, maintainer scripts …
//! data.tar.*      the files, with owners as numbers
//! ```
//!
//! The bytes have been checked against the archive's SHA-256 before. Even so nothing here is trusted: sizes have
//! limits, only files, directories and links are taken, and the package must be the one that was asked for. Source of
//! the format: deb(5), deb-control(5).

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::ar::ArReader;
use corten_layer::tar::TarReader;
use corten_layer::xz;
use corten_oci::{Entry, Kind, LayerPath};

use super::control::Control;

/// Bytes of all control members together. The largest in Debian 12 and 13 has about 2 MB (symbols files).
const CONTROL_LIMIT: u64 = 32 << 20;
/// Bytes of the files that are kept of one package. The largest of a base has 30 MB.
const DATA_LIMIT: u64 = 2 << 30;
/// Entries of one package; linux headers have about 20,000.
const ENTRY_LIMIT: usize = 200_000;
/// Characters of a control member's name: dpkg's `MAXCONTROLFILENAME`.
const MEMBER_NAME_LIMIT: usize = 100;

/// A .deb on disk, and which package it is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebFile {
    /// Binary package.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Where the .deb lies.
    pub path: PathBuf,
}

/// A .deb, read.
#[derive(Debug, Clone)]
pub struct Deb {
    /// Its control file.
    pub control: Control,
    /// The other control members, in archive order.
    pub members: Vec<ControlMember>,
    /// Its files, in archive order.
    pub entries: Vec<DebEntry>,
}

/// One file of control.tar beside `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlMember {
    /// `postinst`, `md5sums`, …
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// One file of data.tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebEntry {
    /// Path as it stands in the archive (not yet below `/usr`), kind, mode, owner.
    pub entry: Entry,
    /// Its bytes; none for what is no file or not kept.
    pub content: Option<Arc<[u8]>>,
    /// Does it belong into the image?
    pub keep: bool,
}

/// Why a .deb is refused.
#[derive(Debug, thiserror::Error)]
#[error("package {name}: reading {}: {why}", path.display())]
pub struct DebError {
    /// Which package.
    pub name: String,
    /// The .deb.
    pub path: PathBuf,
    /// Which rule it breaks.
    pub why: String,
    /// What failed below.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Diagnose for DebError {
    fn fault(&self) -> Fault {
        Fault::World
    }
}

impl Deb {
    /// Reads a .deb. `keep` says which files the caller wants; the bytes of others are read over.
    ///
    /// # Errors
    /// [`DebError`] when the file cannot be read, breaks the format, or is another package than `file` says.
    pub fn read(file: &DebFile, keep: impl Fn(&Entry) -> bool) -> Result<Self, DebError> {
        let fail = |broken: Broken| DebError {
            name: file.name.clone(),
            path: file.path.clone(),
            why: broken.why,
            source: broken.source,
        };
        let source = File::open(&file.path).map_err(|error| fail(error.into()))?;
        let deb = read_members(BufReader::with_capacity(1 << 16, source), keep).map_err(fail)?;
        is_asked_for(file, &deb.control).map_err(fail)?;
        Ok(deb)
    }

    /// A control member's bytes.
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        self.members.iter().find(|member| member.name == name).map(|member| member.content.as_slice())
    }
}

/// A rule that is broken; the caller knows in which package.
struct Broken {
    why: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Broken {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), source: None }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Broken {
    fn from(error: E) -> Self {
        Self { why: error.to_string(), source: error.source().map(|source| source.to_string().into()) }
    }
}

fn read_members(source: impl Read, keep: impl Fn(&Entry) -> bool) -> Result<Deb, Broken> {
    let mut archive = ArReader::new(source)?;
    expect_member(&mut archive, "debian-binary")?;
    read_format(archive.content())?;
    let name = expect_member(&mut archive, "control.tar")?;
    let (control, members) = read_control(xz::reader(&name, archive.content())?)?;
    let name = expect_member(&mut archive, "data.tar")?;
    let entries = read_data(xz::reader(&name, archive.content())?, keep)?;
    match archive.next_member()? {
        Some((name, _)) => Err(Broken::new(format!("member '{name}' follows data.tar"))),
        None => Ok(Deb { control, members, entries }),
    }
}

/// The next member, whose name is `wanted` up to the compression's ending.
fn expect_member<R: Read>(archive: &mut ArReader<R>, wanted: &str) -> Result<String, Broken> {
    let Some((name, _)) = archive.next_member()? else {
        return Err(Broken::new(format!("member {wanted} is missing")));
    };
    let ending = name.strip_prefix(wanted);
    let endings: &[&str] = if wanted == "debian-binary" { &[""] } else { &["", ".xz", ".gz", ".zst"] };
    match ending.is_some_and(|ending| endings.contains(&ending)) {
        true => Ok(name),
        false => Err(Broken::new(format!("member '{name}' stands where {wanted} is expected"))),
    }
}

fn read_format(content: impl Read) -> Result<(), Broken> {
    let mut format = String::new();
    content.take(64).read_to_string(&mut format)?;
    let minor = format.strip_suffix('\n').and_then(|line| line.strip_prefix("2."));
    match minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())) {
        true => Ok(()),
        false => Err(Broken::new(format!("its format is {:?}, not 2.0", format.trim_end()))),
    }
}

fn read_control(source: impl Read) -> Result<(Control, Vec<ControlMember>), Broken> {
    let mut tar = TarReader::new(BufReader::new(source.take(CONTROL_LIMIT)));
    let mut members: Vec<ControlMember> = Vec::new();
    while let Some(entry) = tar.next_entry()? {
        if entry.kind == Kind::Directory && entry.path.is_root() {
            continue;
        }
        let name = member_name(&entry)?;
        if members.iter().any(|member| member.name == name) {
            return Err(Broken::new(format!("control.tar has two members '{name}'")));
        }
        let mut content = Vec::new();
        tar.content().read_to_end(&mut content)?;
        members.push(ControlMember { name, mode: entry.mode & 0o777, content });
    }
    let control = members.iter().position(|member| member.name == "control");
    let control = control.ok_or_else(|| Broken::new("control.tar has no control file"))?;
    let text = String::from_utf8(members.remove(control).content);
    let text = text.map_err(|_| Broken::new("its control file is not UTF-8"))?;
    Ok((Control::parse(&text).map_err(Broken::new)?, members))
}

fn member_name(entry: &Entry) -> Result<String, Broken> {
    let name = entry.path.as_str().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match entry.kind == Kind::File && !name.is_empty() && name.len() < MEMBER_NAME_LIMIT && name.bytes().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(Broken::new(format!("control.tar has '{}', which is no plain file", entry.path))),
    }
}

fn read_data(source: impl Read, keep: impl Fn(&Entry) -> bool) -> Result<Vec<DebEntry>, Broken> {
    let mut tar = TarReader::new(BufReader::with_capacity(1 << 16, source));
    let mut entries = Vec::new();
    let mut total = 0_u64;
    while let Some(entry) = tar.next_entry()? {
        check_entry(&entry)?;
        if entries.len() >= ENTRY_LIMIT {
            return Err(Broken::new(format!("it has more than {ENTRY_LIMIT} files")));
        }
        let keep = keep(&entry);
        let mut content = None;
        if keep && entry.kind == Kind::File {
            total = total.saturating_add(entry.size);
            if total > DATA_LIMIT {
                return Err(Broken::new(format!("it unpacks to more than {} MiB", DATA_LIMIT >> 20)));
            }
            content = Some(read_file(&mut tar)?);
        }
        entries.push(DebEntry { entry, content, keep });
    }
    Ok(entries)
}

fn read_file<R: Read>(tar: &mut TarReader<R>) -> io::Result<Arc<[u8]>> {
    let mut content = Vec::new();
    tar.content().read_to_end(&mut content)?;
    Ok(content.into())
}

fn check_entry(entry: &Entry) -> Result<(), Broken> {
    let what = match entry.kind {
        Kind::Directory if entry.path.is_root() => return Ok(()),
        Kind::File | Kind::Symlink(_) | Kind::HardLink(_) | Kind::Directory => {
            return if entry.path.is_root() { Err(Broken::new("it replaces the root")) } else { Ok(()) };
        }
        Kind::CharacterDevice(..) | Kind::BlockDevice(..) => "a device",
        Kind::Fifo => "a named pipe",
        Kind::Whiteout | Kind::Opaque => "a name that deletes files of lower layers",
    };
    Err(Broken::new(format!("/{} is {what}, which no base may have", entry.path)))
}

fn is_asked_for(file: &DebFile, control: &Control) -> Result<(), Broken> {
    for (field, wanted) in [("Package", &file.name), ("Version", &file.version), ("Architecture", &file.architecture)] {
        let found = control.get(field).unwrap_or_default();
        if found != wanted {
            return Err(Broken::new(format!("its {field} is '{found}', but '{wanted}' was asked for")));
        }
    }
    Ok(())
}

/// Paths of `/etc` files that belong to the administrator: control member `conffiles`.
pub fn conffiles(member: &[u8]) -> impl Iterator<Item = (&str, LayerPath)> {
    let lines = std::str::from_utf8(member).unwrap_or_default().lines();
    // `remove-on-upgrade /path` (dpkg 1.20.6) names files that are not in the package.
    let lines = lines.map(str::trim_end).filter(|line| line.starts_with('/'));
    lines.filter_map(|line| Some((line, LayerPath::new(line).ok()?)))
}

#[cfg(test)]
#[path = "deb/tests.rs"]
mod tests;
