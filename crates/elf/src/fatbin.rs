//! The GPU code inside a library: for which architectures it has machine code (cubin) or PTX. No GPU, and no decompression.
//!
//! nvcc puts *containers* one after the other into the sections `.nv_fatbin` and `__nv_relfatbin` (code that is linked once more).
//! Each has one *entry* for every architecture that its source file was compiled for; an entry's header says kind and
//! architecture, whether its payload is compressed (LZ4 from CUDA 8 on, zstd from 12.8 on) or not. NVIDIA publishes no
//! specification; the fields are as `cuobjdump --list-elf` and `--list-ptx` report them, which tests compare with.
//!
//! ```text
//! container  0 magic ba55ed50 │ 4 version 1 │ 6 size of this header 16 │ 8 bytes that follow │ entries …
//! entry      0 kind: 1 PTX, 2 cubin │ 4 size of this header │ 8 size of the payload │ 28 architecture │ 40 flags │ … payload
//! ```
//!
//! Libraries have gigabytes, so [`FatbinScan`] takes a file as it passes by, once, from its beginning. It finds containers by
//! their magic and steps from entry to entry; the section headers, which usually come at the end, then say which of the containers
//! lie in nvcc's sections. Others are data that a program loads by itself for one special kernel (CUTLASS, in torch), and no
//! promise of the whole library.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// How a container begins: magic, version 1, a header of 16 bytes.
const CONTAINER: [u8; 8] = [0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0];
const CONTAINER_HEADER: usize = 16;
/// What is read of an entry's header.
const ENTRY_HEADER: usize = 64;
/// Bytes of an entry's header; the longest that were seen have 128.
const LONGEST_HEADER: u64 = 4096;
const KIND_PTX: u16 = 1;
const KIND_CUBIN: u16 = 2;
/// `sm_90a`: for this very architecture.
const FLAG_SPECIFIC: u64 = 0x10_0000;
/// `sm_100f`: for its family.
const FLAG_FAMILY: u64 = 0x20_0000;
/// Architectures have two or three digits.
const ARCHITECTURES: std::ops::RangeInclusive<u32> = 10..=999;

/// Containers of one file; libtorch_cuda has 534, and no library that was seen 20,000.
const MOST_CONTAINERS: usize = 1 << 16;
/// Entries of one file.
const MOST_ENTRIES: usize = 1 << 20;

const FILE_HEADER: usize = 64;
const SECTION: usize = 64;
/// Sections of a file; libtorch_cuda has 39.
const MOST_SECTIONS: u64 = 8192;
/// Bytes before and behind the section headers among which their names are sought.
const NEAR: u64 = 64 << 10;
const SHT_PROGBITS: u64 = 1;

/// An architecture of NVIDIA's GPUs: 90 for compute capability 9.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuArchitecture {
    /// Ten times the compute capability.
    pub number: u16,
    /// On which others it runs.
    pub scope: Scope,
}

/// For which GPUs code of one architecture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those of the same major version and the same or a later minor version (`sm_90`); PTX: all later ones.
    Open,
    /// That one alone (`sm_90a`).
    Specific,
    /// Its family: the same major version, the same or a later minor version (`sm_100f`).
    Family,
}

impl GpuArchitecture {
    /// `sm_86`.
    pub const fn open(number: u16) -> Self {
        Self { number, scope: Scope::Open }
    }

    /// Major version of the compute capability.
    pub fn major(self) -> u16 {
        self.number / 10
    }
}

impl fmt::Display for GpuArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Open => "",
            Scope::Specific => "a",
            Scope::Family => "f",
        };
        write!(f, "{}{scope}", self.number)
    }
}

/// A text that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no GPU architecture: expected 90, 90a, sm_90, compute_90 or 9.0")]
pub struct NoArchitecture(String);

impl FromStr for GpuArchitecture {
    type Err = NoArchitecture;

    /// Reads `90`, `90a`, `sm_90a`, `compute_90`, `9.0`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoArchitecture(text.chars().take(40).collect());
        let digits = text.strip_prefix("sm_").or_else(|| text.strip_prefix("compute_")).unwrap_or(text);
        let (digits, scope) = match (digits.strip_suffix('a'), digits.strip_suffix('f')) {
            (Some(digits), _) => (digits, Scope::Specific),
            (None, Some(digits)) => (digits, Scope::Family),
            (None, None) => (digits, Scope::Open),
        };
        let number: u32 = match digits.split_once('.') {
            Some((major, minor)) if minor.len() == 1 => format!("{major}{minor}").parse(),
            _ => digits.parse(),
        }
        .map_err(|_| wrong())?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match (plain && ARCHITECTURES.contains(&number), u16::try_from(number)) {
            (true, Ok(number)) => Ok(Self { number, scope }),
            _ => Err(wrong()),
        }
    }
}

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodeKind {
    /// Machine code.
    Cubin,
    /// Text that the driver compiles when it is loaded.
    Ptx,
}

/// The GPU code of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuCode {
    /// How many entries there are of each kind and architecture.
    pub entries: BTreeMap<(CodeKind, GpuArchitecture), u32>,
    /// There was more than is looked at.
    pub is_cut: bool,
}

impl GpuCode {
    /// Architectures of one kind, sorted.
    pub fn architectures(&self, kind: CodeKind) -> Vec<GpuArchitecture> {
        self.entries.keys().filter(|(found, _)| *found == kind).map(|(_, architecture)| *architecture).collect()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Finds the GPU code of a file that passes by from its beginning.
///
/// Memory: at most 12 MB for entries and 1 MB for section headers, whatever the file claims.
#[derive(Debug, Default)]
pub struct FatbinScan {
    at: u64,
    head: Vec<u8>,
    other: bool,
    sections: Option<Sections>,
    state: State,
    found: Vec<Container>,
    entries: usize,
    is_cut: bool,
}

#[derive(Debug, Default)]
enum State {
    /// Between containers.
    #[default]
    Seek,
    /// In the header of what may be a container.
    Container(Vec<u8>),
    /// In an entry's header; `left` bytes of the container begin with it.
    Entry { bytes: Vec<u8>, left: u64 },
    /// In a payload of `bytes` bytes; behind it, `left` bytes of the container.
    Payload { bytes: u64, left: u64 },
}

#[derive(Debug)]
struct Container {
    at: u64,
    entries: Vec<(CodeKind, GpuArchitecture)>,
}

impl FatbinScan {
    /// More bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.other {
            return;
        }
        if self.head.len() < FILE_HEADER {
            let room = FILE_HEADER - self.head.len();
            self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            let seen = self.head.len().min(6);
            if self.head.get(..seen) != b"\x7fELF\x02\x01".get(..seen) {
                self.other = true;
                return;
            }
            if self.head.len() == FILE_HEADER {
                self.sections = Sections::of(&self.head);
                if let Some(sections) = &mut self.sections {
                    sections.keep(0, &self.head);
                }
            }
        }
        if let Some(sections) = &mut self.sections {
            sections.keep(self.at, bytes);
        }
        self.scan(bytes);
    }

    /// What was found.
    pub fn finish(mut self) -> GpuCode {
        let ranges = self.sections.take().and_then(|sections| sections.of_code(&self.found));
        let is_code = |container: &&Container| match &ranges {
            Some(ranges) => ranges.iter().any(|range| range.contains(&container.at)),
            None => true,
        };
        let mut code = GpuCode { is_cut: self.is_cut, ..GpuCode::default() };
        for entry in self.found.iter().filter(is_code).flat_map(|container| &container.entries) {
            let count = code.entries.entry(*entry).or_default();
            *count = count.saturating_add(1);
        }
        code
    }

    fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes).clamp(1, bytes.len());
            self.at = self.at.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Takes some of the bytes, at least one. How many that were.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            State::Seek => {
                let start = memchr::memmem::find(bytes, &CONTAINER).unwrap_or_else(|| begun(bytes));
                if start < bytes.len() {
                    self.state = State::Container(Vec::with_capacity(CONTAINER_HEADER));
                }
                match start {
                    0 => self.step(bytes),
                    start => start,
                }
            }
            State::Container(header) => {
                let taken = gather(header, bytes, CONTAINER_HEADER);
                if header.len() == CONTAINER_HEADER {
                    let header = std::mem::take(header);
                    self.container(&header, taken);
                }
                taken
            }
            State::Entry { bytes: header, left } => {
                let taken = gather(header, bytes, ENTRY_HEADER);
                if header.len() == ENTRY_HEADER {
                    let (header, left) = (std::mem::take(header), *left);
                    self.state = self.entry(&header, left);
                }
                taken
            }
            State::Payload { bytes: payload, left } => {
                let taken = usize::try_from(*payload).unwrap_or(usize::MAX).min(bytes.len());
                *payload -= taken as u64;
                if *payload == 0 {
                    self.state = State::at_entry(*left);
                }
                taken
            }
        }
    }

    /// A header is complete, `taken` bytes of it just now.
    fn container(&mut self, header: &[u8], taken: usize) {
        let at = self.at.saturating_add(taken as u64).saturating_sub(CONTAINER_HEADER as u64);
        self.state = State::Seek;
        if !header.starts_with(&CONTAINER) || !at.is_multiple_of(8) {
            // The true beginning may lie in what was taken for one. The position counts only whole pushes.
            let again = header.get(1..).unwrap_or_default();
            let start = memchr::memmem::find(again, &CONTAINER).unwrap_or_else(|| begun(again));
            if let Some(rest) = again.get(start..).filter(|rest| !rest.is_empty()) {
                self.state = State::Container(rest.to_vec());
            }
            return;
        }
        if self.found.len() >= MOST_CONTAINERS {
            self.is_cut = true;
            return;
        }
        self.found.push(Container { at, entries: Vec::new() });
        self.state = State::at_entry(number(header, 8, 8));
    }

    /// What follows an entry's header. One that cannot be ends the container: what looked like one was none.
    fn entry(&mut self, header: &[u8], left: u64) -> State {
        let (size, payload) = (number(header, 4, 4), number(header, 8, 8));
        let whole = size.checked_add(payload).filter(|whole| *whole <= left);
        let (Some(whole), true) = (whole, (ENTRY_HEADER as u64..=LONGEST_HEADER).contains(&size)) else {
            return State::Seek;
        };
        if let Some(entry) = code(header) {
            match self.found.last_mut() {
                Some(container) if self.entries < MOST_ENTRIES => {
                    container.entries.push(entry);
                    self.entries += 1;
                }
                _ => self.is_cut = true,
            }
        }
        match whole - ENTRY_HEADER as u64 {
            0 => State::at_entry(left - whole),
            bytes => State::Payload { bytes, left: left - whole },
        }
    }
}

impl State {
    fn at_entry(left: u64) -> Self {
        match left >= ENTRY_HEADER as u64 {
            true => Self::Entry { bytes: Vec::with_capacity(ENTRY_HEADER), left },
            false => Self::Seek,
        }
    }
}

/// Kind and architecture of an entry; none for kinds that no GPU runs (intermediate code, options).
fn code(header: &[u8]) -> Option<(CodeKind, GpuArchitecture)> {
    let kind = match number(header, 0, 2) as u16 {
        KIND_PTX => CodeKind::Ptx,
        KIND_CUBIN => CodeKind::Cubin,
        _ => return None,
    };
    let architecture = number(header, 28, 4) as u32;
    let number = ARCHITECTURES.contains(&architecture).then(|| u16::try_from(architecture).ok())??;
    let scope = match self::number(header, 40, 8) {
        flags if flags & FLAG_FAMILY != 0 => Scope::Family,
        flags if flags & FLAG_SPECIFIC != 0 => Scope::Specific,
        _ => Scope::Open,
    };
    Some((kind, GpuArchitecture { number, scope }))
}

/// Adds bytes until there are `wanted`. How many were added.
fn gather(into: &mut Vec<u8>, bytes: &[u8], wanted: usize) -> usize {
    let taken = wanted.saturating_sub(into.len()).min(bytes.len());
    into.extend_from_slice(bytes.get(..taken).unwrap_or_default());
    taken
}

/// Where the beginning of a container's header begins that the end of the bytes cuts; their length where there is none.
fn begun(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(CONTAINER.len() - 1);
    let begun = (1..=longest).rev().find(|&length| bytes.ends_with(CONTAINER.get(..length).unwrap_or_default()));
    bytes.len() - begun.unwrap_or(0)
}

/// Little-endian; zero beyond the end.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes.get(at..at.saturating_add(length)).unwrap_or_default();
    field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The section headers and what lies near them, as far as they have passed by.
#[derive(Debug)]
struct Sections {
    window: Range<u64>,
    /// Of the window, from its beginning.
    bytes: Vec<u8>,
    table: u64,
    count: u64,
    names: u64,
}

impl Sections {
    fn of(head: &[u8]) -> Option<Self> {
        let (table, size, count) = (number(head, 40, 8), number(head, 58, 2), number(head, 60, 2));
        if table == 0 || size != SECTION as u64 || count == 0 || count > MOST_SECTIONS {
            return None;
        }
        let end = table.checked_add(count * SECTION as u64)?.checked_add(NEAR)?;
        let window = table.saturating_sub(NEAR)..end;
        Some(Self { window, bytes: Vec::new(), table, count, names: number(head, 62, 2) })
    }

    fn keep(&mut self, at: u64, bytes: &[u8]) {
        let next = self.window.start.saturating_add(self.bytes.len() as u64);
        let end = at.saturating_add(bytes.len() as u64).min(self.window.end);
        if next < at || next >= end {
            return;
        }
        let range = usize::try_from(next - at).unwrap_or(usize::MAX)..usize::try_from(end - at).unwrap_or(usize::MAX);
        self.bytes.extend_from_slice(bytes.get(range).unwrap_or_default());
    }

    fn header(&self, index: u64) -> Option<&[u8]> {
        self.slice(self.table.checked_add(index.checked_mul(SECTION as u64)?)?, SECTION as u64)
    }

    fn slice(&self, at: u64, length: u64) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.window.start)?).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    /// Where nvcc's sections lie; none where nothing can be said of that.
    fn of_code(&self, containers: &[Container]) -> Option<Vec<Range<u64>>> {
        self.header(self.count - 1)?;
        let names = self.header(self.names).and_then(|names| self.slice(number(names, 24, 8), number(names, 32, 8)));
        let headers = (0..self.count).filter_map(|index| self.header(index));
        let code = headers.filter(|header| number(header, 4, 4) == SHT_PROGBITS).filter(|header| {
            let name = usize::try_from(number(header, 0, 4)).ok();
            match names {
                Some(names) => is_code(name.and_then(|at| names.get(at..)).unwrap_or_default()),
                // Names that lie elsewhere: nvcc's sections begin with a container.
                None => containers.binary_search_by_key(&number(header, 24, 8), |container| container.at).is_ok(),
            }
        });
        let range = |header: &[u8]| number(header, 24, 8)..number(header, 24, 8).saturating_add(number(header, 32, 8));
        Some(code.map(range).collect())
    }
}

/// Does a name that ends with a zero name one of nvcc's sections?
fn is_code(name: &[u8]) -> bool {
    name.starts_with(b".nv_fatbin\0") || name.starts_with(b"__nv_relfatbin\0")
}

#[cfg(test)]
mod tests;
