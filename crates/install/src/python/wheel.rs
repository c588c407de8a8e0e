//! Wheels to one layer, by splice: members are copied as they lie in the zip, compressed, between our own tar headers.
//!
//! ```text
//! for each wheel:  prepare ─ zip directory, WHEEL, METADATA, RECORD checked; every member placed; scripts made
//! all wheels:      settle  ─ one path, two wheels: same bytes once, else the later wheel wins and it is reported
//! for each wheel:  write   ─ parents, members in the order of the zip, scripts, INSTALLER, direct_url.json, RECORD last
//! ```
//!
//! The bytes depend on the wheels' bytes, their order, [`InstallTarget`] and [`FORMAT`], on nothing else. A wheel in a
//! layer alone gives the same bytes in every project. Source of the rules: PyPA, binary distribution format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::write::{Compression, Deflated, LayerWriter, Written};
use corten_layer::zip::{Archive, Member, ZipError};
use corten_oci::{Entry, Kind, LayerIndex, LayerPath};

use super::check::{check_bomb, check_identity, check_wheel, dist_info, text};
use super::layout::{Layout, Placed};
use super::record::{Line, Record};
use super::{Metadata, scripts};

/// Number of the rules by which wheels become bytes; a part of every key. Changes whenever any byte would.
pub const FORMAT: u32 = 2;

/// Of every file of a wheel: 1980-01-02. Zip cannot express less than 1980, and `zipfile` would fail on such files later.
pub const MTIME: u64 = 315_619_200;
/// What INSTALLER says.
const INSTALLER: &[u8] = b"corten\n";
/// A script that is longer (bytes) is a program; its first line is not looked at.
const LONGEST_SCRIPT: u64 = 4 << 20;
const LONGEST_RECORD: u64 = 64 << 20;
const LONGEST_METADATA: u64 = 16 << 20;

/// A wheel to install, its hash already checked.
#[derive(Debug)]
pub struct WheelSource {
    /// Normalised (PEP 503), as locked.
    pub name: String,
    /// As locked.
    pub version: String,
    /// The package URL that its files carry in the layer's index.
    pub purl: String,
    /// The wheel, opened for random access by nobody else.
    pub file: File,
    /// Content of `direct_url.json` (PEP 610), for a wheel from a URL or a VCS.
    pub direct_url: Option<String>,
}

/// Where wheels are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallTarget {
    /// The venv, below the image's root: `opt/venv`.
    pub prefix: String,
    /// Major and minor: 3, 11.
    pub python: (u32, u32),
}

/// What was installed of one wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelReport {
    /// Normalised (PEP 503).
    pub name: String,
    /// As locked.
    pub version: String,
    /// The package URL.
    pub purl: String,
    /// What METADATA says.
    pub metadata: Metadata,
    /// What people may want to know: code that runs at every start, shipped bytecode.
    pub notes: Vec<String>,
    /// Files of it that a later wheel of the same layer has overwritten with other bytes.
    pub conflicts: Vec<Conflict>,
}

/// Two packages that have different bytes for one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Conflict {
    /// Below the image's root.
    pub path: String,
    /// Package URL of the one whose bytes are seen.
    pub winner: String,
    /// Package URL of the other.
    pub loser: String,
}

/// Why wheels did not become a layer.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The wheel breaks a rule.
    #[error("installing {wheel}: {why}")]
    Refused {
        /// Name and version.
        wheel: String,
        /// Which rule.
        why: String,
    },
    /// Reading the wheel or writing the layer failed.
    #[error("installing {wheel}: {source}")]
    Disk {
        /// Name and version.
        wheel: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnose for WheelError {
    fn fault(&self) -> Fault {
        match self {
            Self::Refused { .. } => Fault::Input,
            Self::Disk { .. } => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused { .. } => vec!["lock another version of the package, or tell its maintainers".to_owned()],
            Self::Disk { source, .. } => corten_store::hints(source.kind()),
        }
    }
}

/// Writes one layer with the wheels, spliced; as [`convert_into`].
pub fn convert<W: Write>(
    wheels: &[WheelSource],
    target: &InstallTarget,
    sink: W,
) -> Result<(W, Written, Vec<WheelReport>), WheelError> {
    convert_into(wheels, target, LayerWriter::new(sink, Compression::Splice, MTIME))
}

/// Writes one layer with the wheels, in their order; gives the sink back, flushed by nobody. `writer` is new and writes
/// the modification time [`MTIME`].
pub fn convert_into<W: Write>(
    wheels: &[WheelSource],
    target: &InstallTarget,
    writer: LayerWriter<W>,
) -> Result<(W, Written, Vec<WheelReport>), WheelError> {
    let mut prepared = Vec::with_capacity(wheels.len());
    for wheel in wheels {
        prepared.push(Prepared::new(wheel, target).map_err(|problem| problem.of(wheel))?);
    }
    settle(&mut prepared)?;
    let mut layer = Layer { writer, made: BTreeSet::new() };
    let mut reports = Vec::with_capacity(wheels.len());
    for wheel in prepared {
        let source = wheel.source;
        reports.push(wheel.write(&mut layer).map_err(|problem| problem.of(source))?);
    }
    let (sink, written) =
        layer.writer.finish().map_err(|source| WheelError::Disk { wheel: "the layer".to_owned(), source })?;
    Ok((sink, written, reports))
}

/// A wheel's archive, and those of its members that are installed below site-packages as they are.
pub(super) struct Library<'a> {
    /// Opened and checked.
    pub archive: Archive<&'a File>,
    /// With their paths in the image.
    pub members: Vec<(String, Member)>,
}

/// What a wheel brings to site-packages.
pub(super) fn library<'a>(wheel: &'a WheelSource, target: &InstallTarget) -> Result<Library<'a>, WheelError> {
    let prepared = Prepared::new(wheel, target).map_err(|problem| problem.of(wheel))?;
    let folder = format!("{}/", Layout::new(target, &wheel.name, "").site_packages());
    let members = prepared.items.into_iter().filter_map(|item| match item.content {
        Content::Member(member) if item.path.starts_with(&folder) => Some((item.path, member)),
        _ => None,
    });
    Ok(Library { members: members.collect(), archive: prepared.archive })
}

/// Paths for which packages of different layers have different bytes; `layers` lowest first, so that the last one wins.
pub fn conflicts(layers: &[&LayerIndex]) -> Vec<Conflict> {
    let mut seen: BTreeMap<&LayerPath, &Entry> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for entry in layers.iter().flat_map(|layer| &layer.entries).filter(|entry| entry.kind == Kind::File) {
        let Some(other) = seen.insert(&entry.path, entry) else { continue };
        if (other.crc32, other.size) != (entry.crc32, entry.size)
            && let (Some(winner), Some(loser)) = (&entry.package, &other.package)
        {
            conflicts.push(Conflict { path: entry.path.to_string(), winner: winner.clone(), loser: loser.clone() });
        }
    }
    conflicts
}

/// What goes wrong with a wheel, before it is known by name.
pub(super) enum Problem {
    Refused(String),
    Disk(io::Error),
}

impl Problem {
    pub(super) fn of(self, wheel: &WheelSource) -> WheelError {
        let wheel = format!("{} {}", wheel.name, wheel.version);
        match self {
            Self::Refused(why) => WheelError::Refused { wheel, why },
            Self::Disk(source) => WheelError::Disk { wheel, source },
        }
    }
}

impl From<String> for Problem {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<ZipError> for Problem {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Read(source) => source.into(),
            refused => Self::Refused(refused.to_string()),
        }
    }
}

/// Bytes that are not what they should be are the wheel's fault; all else is the disk's.
impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                Self::Refused(error.to_string())
            }
            _ => Self::Disk(error),
        }
    }
}

/// A file to be written.
struct Item {
    path: String,
    executable: bool,
    size: u64,
    crc32: u32,
    content: Content,
}

/// Where its bytes are.
enum Content {
    /// As they lie in the zip.
    Member(Member),
    /// As they lie in the zip, with a text behind them.
    Extended(Member, String),
    /// Made here.
    Made(Vec<u8>),
    /// Nowhere: another wheel has the path.
    Superseded,
}

impl Item {
    fn made(path: String, executable: bool, content: Vec<u8>) -> Self {
        let (size, crc32) = (content.len() as u64, crc32fast::hash(&content));
        Self { path, executable, size, crc32, content: Content::Made(content) }
    }
}

/// A wheel that has been read and checked, all but the content of its members.
struct Prepared<'a> {
    source: &'a WheelSource,
    archive: Archive<&'a File>,
    metadata: Metadata,
    notes: Vec<String>,
    items: Vec<Item>,
    conflicts: Vec<Conflict>,
}

impl<'a> Prepared<'a> {
    fn new(source: &'a WheelSource, target: &InstallTarget) -> Result<Self, Problem> {
        let mut archive = Archive::new(&source.file)?;
        check_bomb(&archive, &source.file)?;
        let folder = dist_info(archive.members(), source)?;
        let notes = check_wheel(&text(&mut archive, &folder, "WHEEL", LONGEST_METADATA)?)?;
        let metadata = text(&mut archive, &folder, "METADATA", LONGEST_METADATA)?;
        let metadata = Metadata::parse(&metadata).map_err(|error| error.to_string())?;
        check_identity("METADATA", &metadata.name, &metadata.version, source)?;
        let layout = Layout::new(target, &source.name, folder.trim_end_matches(".dist-info"));
        let mut prepared = Self { source, archive, metadata, notes, items: Vec::new(), conflicts: Vec::new() };
        prepared.fill(&layout, &folder, target)?;
        prepared.note_what_runs(&layout);
        Ok(prepared)
    }

    /// Decides on every file of the wheel and on those that installing adds; RECORD comes last, as it knows them all.
    fn fill(&mut self, layout: &Layout<'_>, folder: &str, target: &InstallTarget) -> Result<(), Problem> {
        let record_name = format!("{folder}/RECORD");
        let record_text = text(&mut self.archive, folder, "RECORD", LONGEST_RECORD)?;
        let record = Record::parse(&record_text)?;
        let mut members = self.archive.members().to_vec();
        let absent = record.check(members.iter().map(|member| (member.name.as_str(), member.size)), &record_name)?;
        if let Some(first) = absent.first() {
            let count = absent.len();
            self.notes.push(format!("its RECORD names {count} files that it does not have, as '{first}': left out"));
        }
        let mut moved: BTreeMap<String, Option<Line>> =
            absent.into_iter().map(|name| (name.to_owned(), None)).collect();
        members.sort_by_key(|member| member.header_offset);

        let mut record_member = None;
        for member in members {
            if member.name == record_name {
                record_member = Some(member);
            } else if is_installers(&member.name, folder) {
                moved.insert(member.name, None);
            } else {
                self.place(layout, member, target, &mut moved)?;
            }
        }
        let added = self.add_made(layout, folder, target)?;
        let member = record_member.ok_or_else(|| format!("there is no {record_name}"))?;
        let path = layout.place(&record_name)?.path;
        self.items.push(record_item(path, member, &record, &moved, &added));
        self.check_paths()
    }

    /// Plans one member; `moved` learns what RECORD must say otherwise.
    fn place(
        &mut self,
        layout: &Layout<'_>,
        member: Member,
        target: &InstallTarget,
        moved: &mut BTreeMap<String, Option<Line>>,
    ) -> Result<(), Problem> {
        let Placed { path, script, moved: elsewhere } = layout.place(&member.name)?;
        let executable = script || is_executable(&member);
        let recorded = layout.recorded(&path);
        if script
            && member.size <= LONGEST_SCRIPT
            && let Some(content) = scripts::rewritten(&self.archive.content(&member, LONGEST_SCRIPT)?, target)
        {
            moved.insert(member.name, Some(Line::of(recorded, &content)));
            self.items.push(Item::made(path, executable, content));
            return Ok(());
        }
        if elsewhere {
            moved.insert(member.name.clone(), Some(Line { path: recorded, hash: String::new(), size: None }));
        }
        let (size, crc32) = (member.size, member.crc32);
        self.items.push(Item { path, executable, size, crc32, content: Content::Member(member) });
        Ok(())
    }

    /// Scripts of entry points, INSTALLER, direct_url.json; gives their lines for RECORD. A script that the wheel brings
    /// itself (`.data/scripts`) is kept.
    fn add_made(&mut self, layout: &Layout<'_>, folder: &str, target: &InstallTarget) -> Result<Vec<Line>, Problem> {
        let mut made = Vec::new();
        if self.archive.members().iter().any(|member| member.name == format!("{folder}/entry_points.txt")) {
            let text = text(&mut self.archive, folder, "entry_points.txt", LONGEST_METADATA)?;
            for (name, callable) in scripts::entry_points(&text)? {
                made.push(Item::made(layout.script(&name), true, callable.script(target).into_bytes()));
            }
        }
        let own = |name: &str| layout.place(&format!("{folder}/{name}")).map(|placed| placed.path);
        made.push(Item::made(own("INSTALLER")?, false, INSTALLER.to_vec()));
        if let Some(direct_url) = &self.source.direct_url {
            made.push(Item::made(own("direct_url.json")?, false, direct_url.clone().into_bytes()));
        }
        let brought: BTreeSet<&str> = self.items.iter().map(|item| item.path.as_str()).collect();
        made.retain(|item| !brought.contains(item.path.as_str()));
        let lines = made.iter().filter_map(|item| match &item.content {
            Content::Made(content) => Some(Line::of(layout.recorded(&item.path), content)),
            _ => None,
        });
        let lines = lines.collect();
        self.items.extend(made);
        Ok(lines)
    }

    /// One path twice (`a.py` and `.data/purelib/a.py`): refused unless the bytes are the same, which then come once.
    fn check_paths(&mut self) -> Result<(), Problem> {
        let mut seen: BTreeMap<String, (u64, u32)> = BTreeMap::new();
        let mut kept = Vec::with_capacity(self.items.len());
        for item in self.items.drain(..) {
            match seen.insert(item.path.clone(), (item.size, item.crc32)) {
                None => kept.push(item),
                Some(known) if known == (item.size, item.crc32) => {}
                Some(_) => return Err(Problem::Refused(format!("two files of it would both be /{}", item.path))),
            }
        }
        self.items = kept;
        Ok(())
    }

    /// Code that every start of Python runs, and bytecode that came with the wheel.
    fn note_what_runs(&mut self, layout: &Layout<'_>) {
        let site_packages = layout.site_packages();
        let names = self.items.iter().filter_map(|item| item.path.strip_prefix(&site_packages)?.strip_prefix('/'));
        let mut notes = Vec::new();
        let mut bytecode = 0;
        for name in names {
            if name.ends_with(".pyc") {
                bytecode += 1;
            } else if !name.contains('/')
                && (name.ends_with(".pth") || matches!(name, "sitecustomize.py" | "usercustomize.py"))
            {
                notes.push(format!("{name} runs whenever Python starts"));
            }
        }
        if bytecode > 0 {
            notes.push(format!("brings {bytecode} files of bytecode"));
        }
        self.notes.extend(notes);
    }

    fn write<W: Write>(mut self, layer: &mut Layer<W>) -> Result<WheelReport, Problem> {
        for item in std::mem::take(&mut self.items) {
            layer.item(&mut self.archive, &self.source.purl, item)?;
        }
        Ok(WheelReport {
            name: self.source.name.clone(),
            version: self.source.version.clone(),
            purl: self.source.purl.clone(),
            metadata: self.metadata,
            notes: self.notes,
            conflicts: self.conflicts,
        })
    }
}

/// Of one path in two wheels, only the later wheel's file is written; a file where another wheel has a folder is refused.
fn settle(wheels: &mut [Prepared<'_>]) -> Result<(), WheelError> {
    let mut owners: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for at in 0..wheels.len() {
        for number in 0..wheels[at].items.len() {
            let path = wheels[at].items[number].path.clone();
            let Some((before, place)) = owners.insert(path.clone(), (at, number)) else { continue };
            let (size, crc32) = (wheels[at].items[number].size, wheels[at].items[number].crc32);
            let winner = wheels[at].source.purl.clone();
            let loser = &mut wheels[before];
            let item = &mut loser.items[place];
            item.content = Content::Superseded;
            if (item.size, item.crc32) != (size, crc32) {
                loser.conflicts.push(Conflict { path, winner, loser: loser.source.purl.clone() });
            }
        }
    }
    for (path, (at, _)) in &owners {
        for (slash, _) in path.match_indices('/') {
            if let Some((other, _)) = path.get(..slash).and_then(|folder| owners.get(folder)) {
                let why = format!("/{path} needs a folder where {} has a file", wheels[*other].source.name);
                return Err(Problem::Refused(why).of(wheels[*at].source));
            }
        }
    }
    Ok(())
}

/// The layer being written, and the folders that are in it already.
struct Layer<W: Write> {
    writer: LayerWriter<W>,
    made: BTreeSet<LayerPath>,
}

impl<W: Write> Layer<W> {
    fn item(&mut self, archive: &mut Archive<&File>, purl: &str, item: Item) -> Result<(), Problem> {
        let path = LayerPath::new(&item.path).map_err(|error| error.to_string())?;
        if matches!(item.content, Content::Superseded) {
            return Ok(());
        }
        self.parents(&path)?;
        let mode = if item.executable { 0o755 } else { 0o644 };
        let mut entry = entry(path, Kind::File, mode, item.size);
        entry.package = Some(purl.to_owned());
        match item.content {
            Content::Member(member) => self.member(archive, entry, &member, ""),
            Content::Extended(member, suffix) => self.member(archive, entry, &member, &suffix),
            Content::Made(content) if content.is_empty() => Ok(self.writer.bare(entry)?),
            Content::Made(content) => Ok(self.writer.file(entry, &mut content.as_slice())?),
            Content::Superseded => Ok(()),
        }
    }

    fn member(
        &mut self,
        archive: &mut Archive<&File>,
        entry: Entry,
        member: &Member,
        suffix: &str,
    ) -> Result<(), Problem> {
        if entry.size == 0 {
            archive.content(member, 0)?; // checks that it really is nothing
            return Ok(self.writer.bare(entry)?);
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", member.name));
        if member.deflated {
            let (compressed_size, crc32) = (member.compressed_size, member.crc32);
            let mut raw = archive.raw(member)?;
            let content = Deflated { stream: &mut raw, compressed_size, crc32 };
            return Ok(self.writer.deflated(entry, content, suffix.as_bytes()).map_err(named)?);
        }
        let mut checked = Checked { source: archive.raw(member)?, crc32: crc32fast::Hasher::new() };
        self.writer.file(entry, &mut (&mut checked).chain(suffix.as_bytes())).map_err(named)?;
        if checked.crc32.finalize() != member.crc32 {
            return Err(Problem::Refused(format!("{}: its checksum (CRC-32) is wrong", member.name)));
        }
        Ok(())
    }

    /// The folders above, 0755 and root's: the same in every layer, so that layers do not change each other's.
    fn parents(&mut self, path: &LayerPath) -> io::Result<()> {
        for folder in path.ancestors() {
            if self.made.insert(folder.clone()) {
                self.writer.bare(entry(folder, Kind::Directory, 0o755, 0))?;
            }
        }
        Ok(())
    }
}

/// Counts the CRC-32 of stored members: only deflated ones are checked by the writer.
struct Checked<R: Read> {
    source: R,
    crc32: crc32fast::Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.crc32.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn entry(path: LayerPath, kind: Kind, mode: u32, size: u64) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
}

/// RECORD as the wheel has it with lines behind it, or anew where files have moved or changed.
fn record_item(
    path: String,
    member: Member,
    record: &Record,
    moved: &BTreeMap<String, Option<Line>>,
    added: &[Line],
) -> Item {
    let executable = is_executable(&member);
    if moved.is_empty() {
        let suffix = record.suffix(added);
        let (size, crc32) = (member.size.saturating_add(suffix.len() as u64), member.crc32);
        return Item { path, executable, size, crc32, content: Content::Extended(member, suffix) };
    }
    let change = |line: &Line| match moved.get(&line.path) {
        None => Some(line.clone()),
        Some(None) => None,
        Some(Some(new)) if new.hash.is_empty() => Some(Line { path: new.path.clone(), ..line.clone() }),
        Some(Some(new)) => Some(new.clone()),
    };
    Item::made(path, executable, record.rewritten(change, added).into_bytes())
}

/// By anybody: then by everybody, as pip and uv have it.
fn is_executable(member: &Member) -> bool {
    member.mode.is_some_and(|mode| mode & 0o111 != 0)
}

/// What an installer writes into dist-info; what a wheel has there is not installed.
fn is_installers(member: &str, folder: &str) -> bool {
    let name = member.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    matches!(name, Some("INSTALLER" | "REQUESTED" | "direct_url.json"))
}
