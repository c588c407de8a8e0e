//! Writes `/etc/ld.so.cache` as glibc's `ldconfig` does, byte for byte, from a tree in memory.
//!
//! The loader finds most libraries without it; `/usr/local/lib` and `ctypes.util.find_library` need it. All numbers
//! are little-endian, all offsets count from the start of the file.
//!
//! ```text
//! header 48     "glibc-ld.so.cache1.1"  u32 entries  u32 bytes of strings  u8 2  0 0 0  u32 extension  3 × u32 0
//! entry  24 ×n  i32 flags  u32 soname  u32 path  u32 0  u64 hwcap
//! strings       NUL-terminated; one that is the end of another points into it
//! extension     u32 0xeaa42174  u32 sections  n × (u32 tag, u32 0, u32 offset, u32 size)  payloads
//! ```
//!
//! Source: glibc 2.36 and 2.41, `elf/ldconfig.c`, `elf/cache.c`, `elf/stringtable.c`, `sysdeps/generic/dl-cache.h`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use corten_elf::{Elf, Machine, ObjectKind};
use corten_oci::{Architecture, LayerPath};

use super::base::{NodeKind, Tree};

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const HEADER_SIZE: usize = 48;
const ENTRY_SIZE: usize = 24;
const TAG_GENERATOR: u32 = 0;
const TAG_HWCAPS: u32 = 1;
/// `DL_CACHE_HWCAP_EXTENSION`: the low word is an index into the hwcaps section.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Files that `ld.so.conf` may include, one inside another.
const INCLUDE_DEPTH: usize = 8;

/// One line of `ldconfig -p`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheEntry {
    soname: String,
    path: String,
    /// The directory below `glibc-hwcaps`, for libraries of newer processors.
    hwcap: Option<String>,
}

/// What ldconfig calls itself in the cache, from the version of package libc-bin: `2.36-9+deb12u14`.
pub fn generator(libc_version: &str) -> String {
    let upstream = libc_version.split('-').next().unwrap_or(libc_version);
    format!("ldconfig (Debian GLIBC {libc_version}) stable release version {upstream}")
}

/// The cache of all libraries of a tree. `generator`: see [`generator`].
pub fn write_cache(tree: &Tree, architecture: Architecture, generator: &str) -> Vec<u8> {
    let mut entries = Vec::new();
    for directory in library_directories(tree, architecture) {
        entries.extend(scan(tree, &directory, None, architecture));
        for name in hwcap_names(tree, &directory) {
            let below = format!("{directory}/glibc-hwcaps/{name}");
            entries.extend(scan(tree, &below, Some(&name), architecture));
        }
    }
    entries.sort_by(compare_entries);
    encode(&entries, architecture, generator)
}

/// Where libraries are sought, in order, as spelled in `ld.so.conf`; directories that are one by links only once.
pub(super) fn library_directories(tree: &Tree, architecture: Architecture) -> Vec<String> {
    let triplet = architecture.triplet();
    let mut spelled = Vec::new();
    read_configuration(tree, "/etc/ld.so.conf", INCLUDE_DEPTH, &mut spelled, &mut BTreeSet::new());
    let trusted = [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()];
    spelled.extend(trusted);
    let mut seen = BTreeSet::new();
    spelled.retain(|directory| {
        let found = LayerPath::new(directory).ok().and_then(|path| tree.resolve(&path));
        found.is_some_and(|found| seen.insert(found))
    });
    spelled
}

/// Every file is read once (`seen`): files that include each other would take a while.
fn read_configuration(
    tree: &Tree,
    file: &str,
    depth: usize,
    directories: &mut Vec<String>,
    seen: &mut BTreeSet<LayerPath>,
) {
    let Some(found) = LayerPath::new(file).ok().and_then(|path| tree.resolve(&path)) else { return };
    let Some(content) = tree.content(&found).filter(|_| seen.insert(found.clone())) else { return };
    for line in String::from_utf8_lossy(content).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] | ["hwcap", ..] => {}
            ["include", patterns @ ..] => {
                for file in patterns.iter().flat_map(|pattern| glob(tree, pattern)) {
                    if depth > 0 {
                        read_configuration(tree, &file, depth - 1, directories, seen);
                    }
                }
            }
            _ if line.starts_with('/') => {
                let directory = line.split('=').next().unwrap_or(line).trim_end_matches('/');
                directories.push(directory.to_owned());
            }
            _ => {}
        }
    }
}

/// Files that fit a pattern with `*` in its last component only, which is how Debian's `ld.so.conf` uses it.
fn glob(tree: &Tree, pattern: &str) -> Vec<String> {
    let (directory, name) = pattern.rsplit_once('/').unwrap_or(("/etc", pattern));
    let Some((before, after)) = name.split_once('*') else { return vec![format!("{directory}/{name}")] };
    let Some(folder) = LayerPath::new(directory).ok().and_then(|path| tree.resolve(&path)) else { return Vec::new() };
    let names = tree.children(&folder).filter_map(|(path, _)| std::str::from_utf8(path.name()).ok());
    let fits = |name: &&str| {
        name.len() >= before.len() + after.len()
            && name.starts_with(before)
            && name.ends_with(after)
            && !name.starts_with('.')
    };
    names.filter(fits).map(|name| format!("{directory}/{name}")).collect()
}

fn hwcap_names(tree: &Tree, directory: &str) -> Vec<String> {
    let folder = LayerPath::new(format!("{directory}/glibc-hwcaps")).ok().and_then(|path| tree.resolve(&path));
    let Some(folder) = folder else { return Vec::new() };
    let folders = tree.children(&folder).filter(|(_, node)| node.kind == NodeKind::Directory);
    folders.filter_map(|(path, _)| Some(std::str::from_utf8(path.name()).ok()?.to_owned())).collect()
}

/// The libraries of one directory, at most one of each soname.
fn scan(tree: &Tree, directory: &str, hwcap: Option<&str>, architecture: Architecture) -> Vec<CacheEntry> {
    /// The file that a soname stands for so far.
    struct Best {
        name: String,
        is_link: bool,
    }
    let Some(folder) = LayerPath::new(directory).ok().and_then(|path| tree.resolve(&path)) else { return Vec::new() };
    let mut best: BTreeMap<String, Best> = BTreeMap::new();
    for (path, node) in tree.children(&folder) {
        let Some(name) = std::str::from_utf8(path.name()).ok().filter(|name| is_candidate(name)) else { continue };
        let Some(mut soname) = library_soname(tree, path, name, architecture) else { continue };
        let mut is_link = matches!(node.kind, NodeKind::Symlink(_));
        if is_link && name != soname {
            // A link for the linker alone (libz.so) has an entry of its own; any other is as good as a file.
            is_link = name.ends_with(".so") && soname.starts_with(name);
        }
        if is_link {
            soname = name.to_owned();
        }
        let wins = best.get(&soname).is_none_or(|old| {
            (!is_link && old.is_link) || (is_link == old.is_link && compare_names(&old.name, name).is_lt())
        });
        if wins {
            best.insert(soname, Best { name: name.to_owned(), is_link });
        }
    }
    let entry = |(soname, best): (String, Best)| {
        let file = if hwcap.is_some() { &best.name } else { &soname };
        CacheEntry { path: format!("{directory}/{file}"), soname, hwcap: hwcap.map(str::to_owned) }
    };
    best.into_iter().map(entry).collect()
}

fn is_candidate(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-"))
        && name.contains(".so")
        && ![".dpkg-new", ".dpkg-tmp", "-gdb.py"].iter().any(|ending| name.ends_with(ending))
}

fn library_soname(tree: &Tree, path: &LayerPath, name: &str, architecture: Architecture) -> Option<String> {
    let elf = Elf::read(tree.read(path.as_bytes())?).ok()?;
    if elf.machine != machine(architecture) || elf.kind != ObjectKind::Dynamic {
        return None;
    }
    let soname = elf.dynamic?.soname;
    Some(soname.map_or(name.to_owned(), |soname| String::from_utf8_lossy(soname).into_owned()))
}

pub(super) fn machine(architecture: Architecture) -> Machine {
    match architecture {
        Architecture::Amd64 => Machine::X86_64,
        Architecture::Arm64 => Machine::Aarch64,
    }
}

/// glibc's `compare`: names descending, entries for newer processors first, else as found.
fn compare_entries(one: &CacheEntry, other: &CacheEntry) -> Ordering {
    let by_hwcap = match (&one.hwcap, &other.hwcap) {
        (Some(one), Some(other)) => one.cmp(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    compare_names(&other.soname, &one.soname).then(by_hwcap)
}

/// glibc's `_dl_cache_libcmp`: digits compare as numbers and sort behind everything else.
fn compare_names(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let Some(&first) = one.first() {
        let second = other.first().copied().unwrap_or(0);
        match (first.is_ascii_digit(), second.is_ascii_digit()) {
            (true, true) => {
                let order = leading_number(&mut one).cmp(&leading_number(&mut other));
                if order.is_ne() {
                    return order;
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if first != second => return first.cmp(&second),
            (false, false) => (one, other) = (&one[1..], other.get(1..).unwrap_or_default()),
        }
    }
    if other.is_empty() { Ordering::Equal } else { Ordering::Less }
}

/// As C's `int` counts: it wraps.
fn leading_number(text: &mut &[u8]) -> i32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    *text = rest;
    number.iter().fold(0_i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

fn encode(entries: &[CacheEntry], architecture: Architecture, generator: &str) -> Vec<u8> {
    let hwcaps: Vec<&str> =
        entries.iter().filter_map(|entry| entry.hwcap.as_deref()).collect::<BTreeSet<_>>().into_iter().collect();
    let texts = entries.iter().flat_map(|entry| [entry.soname.as_str(), entry.path.as_str()]).chain(hwcaps.clone());
    let base = HEADER_SIZE + ENTRY_SIZE * entries.len();
    let (strings, offsets) = string_table(texts.collect(), base);
    let extension = (base + strings.len()).next_multiple_of(4);
    let offset_of = |text: &str| word(offsets.get(text).copied().unwrap_or_default());
    let mut out = Vec::with_capacity(extension + 256);
    out.extend(MAGIC);
    out.extend(word(entries.len()));
    out.extend(word(strings.len()));
    out.extend([2, 0, 0, 0]);
    out.extend(word(extension));
    out.extend([0; 12]);
    let flags: u32 = match architecture {
        Architecture::Amd64 => 0x0303,
        Architecture::Arm64 => 0x0a03,
    };
    for entry in entries {
        out.extend(flags.to_le_bytes());
        out.extend(offset_of(&entry.soname));
        out.extend(offset_of(&entry.path));
        out.extend([0; 4]);
        let hwcap = entry.hwcap.as_deref().and_then(|name| hwcaps.iter().position(|other| *other == name));
        out.extend(hwcap.map_or(0, |index| HWCAP_EXTENSION | index as u64).to_le_bytes());
    }
    out.extend(strings);
    out.resize(extension, 0);
    let hwcaps: Vec<_> = hwcaps.iter().map(|name| offset_of(name)).collect();
    write_extension(&mut out, &hwcaps.concat(), generator.as_bytes());
    out
}

fn write_extension(out: &mut Vec<u8>, hwcaps: &[u8], generator: &[u8]) {
    let sections = if hwcaps.is_empty() { 1 } else { 2 };
    let payload = out.len() + 8 + 16 * sections;
    out.extend(EXTENSION_MAGIC.to_le_bytes());
    out.extend(word(sections));
    let mut section = |tag: u32, offset: usize, size: usize| {
        out.extend(tag.to_le_bytes());
        out.extend([0; 4]);
        out.extend(word(offset));
        out.extend(word(size));
    };
    section(TAG_GENERATOR, payload + hwcaps.len(), generator.len());
    if !hwcaps.is_empty() {
        section(TAG_HWCAPS, payload, hwcaps.len());
    }
    out.extend(hwcaps);
    out.extend(generator);
}

/// The strings, and where each begins in the file. A cache of 4 GiB cannot come from a tree that fits into memory.
fn string_table(texts: BTreeSet<&str>, base: usize) -> (Vec<u8>, BTreeMap<&str, usize>) {
    let mut texts: Vec<&str> = texts.into_iter().collect();
    texts.sort_by(|one, other| other.bytes().rev().cmp(one.bytes().rev()));
    let (mut strings, mut offsets) = (Vec::new(), BTreeMap::new());
    let mut previous: Option<(&str, usize)> = None;
    for text in texts {
        let at = match previous {
            Some((longer, at)) if longer.ends_with(text) => at + longer.len() - text.len(),
            _ => {
                let at = base + strings.len();
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
                at
            }
        };
        offsets.insert(text, at);
        previous = Some((text, at));
    }
    (strings, offsets)
}

fn word(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
#[path = "ldcache/tests.rs"]
mod tests;
