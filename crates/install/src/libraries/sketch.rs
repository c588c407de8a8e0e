//! The few bytes of an ELF file that the loader's questions need, kept while the file passes by.
//!
//! The dynamic section says where the names are, and may come behind them. Until it has come, the beginning of the first loaded
//! segment is kept, where linkers put the names, and small segments; after it, the table of names alone, which tools that
//! rewrite libraries put at the end. The rest of a library of a gigabyte is let go. What is kept makes a small file with the same
//! headers but for offsets and addresses.
//!
//! ```text
//! file:  header, program headers │ LOAD: … names … code │ LOAD: data │ DYNAMIC │ …
//! kept:  header, program headers │ LOAD: names                       │ DYNAMIC
//! ```

/// Bytes that are kept of a segment. The names of the largest library that was seen (2.7 GB) lie in the first 13 MB.
const PART: u64 = 16 << 20;
/// A later segment with as many bytes or fewer is kept before it is known where the names are.
const SMALL: u64 = 4 << 20;
/// Bytes of a dynamic section that are looked at; usual are 600.
const LONGEST_DYNAMIC: u64 = 1 << 20;
/// Where the program headers must end; usually at 1 KiB.
const HEAD: usize = 64 * 1024;
/// Segments that are looked at; usual are 11.
const MOST_SEGMENTS: usize = 64;
/// All that is kept of a file, beside its dynamic section.
const MOST_KEPT: usize = 24 << 20;
/// All that is kept of a file whose program headers lie at the end.
const LONGEST_WHOLE: usize = 96 << 20;

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const EXECUTABLE: u32 = 1;
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;

/// A file on its way.
#[derive(Default)]
pub(super) struct Sketch {
    at: u64,
    head: Vec<u8>,
    parts: Option<Vec<Part>>,
    other: bool,
    /// The dynamic section has come: only what it points to is wanted.
    aimed: bool,
    /// The program headers lie at the end, where some tools put them: the file is kept as it is.
    whole: bool,
}

/// A range of the file, as far as it is kept.
struct Part {
    kind: u32,
    /// Where its program header is.
    header: usize,
    /// Of its segment, in the file.
    segment: std::ops::Range<u64>,
    /// Where in memory its segment begins.
    address: u64,
    start: u64,
    length: u64,
    bytes: Vec<u8>,
}

impl Part {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Keeps what it wants of `bytes`, which lie at `at`, and at most `room`. How much that was.
    fn keep(&mut self, at: u64, bytes: &[u8], room: usize) -> usize {
        let end = at.saturating_add(bytes.len() as u64);
        let (next, last) = (self.end(), self.start.saturating_add(self.length).min(end));
        if next < at || next >= last {
            return 0;
        }
        let kept = bytes.get((next - at) as usize..(last - at) as usize).unwrap_or_default();
        let kept = &kept[..kept.len().min(room)];
        self.bytes.extend_from_slice(kept);
        kept.len()
    }

    /// Only the part of `wanted` that lies in the segment, as far as it is kept or still to come.
    fn narrow(&mut self, wanted: &std::ops::Range<u64>) {
        let (from, to) = (wanted.start.max(self.segment.start), wanted.end.min(self.segment.end));
        let kept = std::mem::take(&mut self.bytes);
        let end = self.start.saturating_add(kept.len() as u64);
        let cut = usize::try_from(from.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes = match from >= self.start && from < to.min(end) {
            true => kept.get(cut..).unwrap_or_default().iter().take((to - from) as usize).copied().collect(),
            false => Vec::new(),
        };
        (self.start, self.length) = (from, to.saturating_sub(from).min(PART));
    }
}

impl Sketch {
    /// More bytes of the file.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.other {
            return;
        }
        if self.whole {
            let room = LONGEST_WHOLE.saturating_sub(self.head.len());
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        if self.parts.is_none() {
            let room = HEAD - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            let seen = self.head.len().min(4);
            if self.head[..seen] != corten_elf::MAGIC[..seen] {
                (self.other, self.head) = (true, Vec::new());
                return;
            }
            if self.head.len() == HEAD {
                self.plan();
            }
        } else {
            self.keep(self.at, bytes);
            self.at += bytes.len() as u64;
            return;
        }
        let before = self.at;
        self.at += bytes.len() as u64;
        let taken = usize::try_from(HEAD as u64 - before).unwrap_or(bytes.len());
        let rest = bytes.get(taken..).unwrap_or_default();
        if self.whole {
            self.head.extend_from_slice(rest);
        } else if self.parts.is_some() {
            // The head has what came before; what came now may go on behind it.
            let head = self.head.clone();
            self.keep(0, &head);
            self.keep(HEAD as u64, rest);
        }
    }

    /// A file that says the same to the loader; none for what is no ELF file.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.other || self.head.is_empty() {
            return None;
        }
        let Some(parts) = self.parts.take() else { return Some(self.head) };
        let mut file = self.head;
        for part in parts {
            let offset = file.len() as u64;
            write(&mut file, part.header + 8, offset);
            write(&mut file, part.header + 16, part.address.wrapping_add(part.start.wrapping_sub(part.segment.start)));
            write(&mut file, part.header + 32, part.bytes.len() as u64);
            file.extend_from_slice(&part.bytes);
        }
        Some(file)
    }

    /// Which ranges are wanted, by the program headers.
    fn plan(&mut self) {
        let number = |at: usize, bytes: usize| number(&self.head, at, bytes);
        let table = usize::try_from(number(32, 8)).unwrap_or(usize::MAX);
        let count = usize::try_from(number(56, 2)).unwrap_or(0).min(MOST_SEGMENTS);
        if table.saturating_add(count * SEGMENT) > HEAD {
            self.whole = true;
            return;
        }
        let mut parts: Vec<Part> = Vec::new();
        for index in 0..count {
            let Some(header) = table.checked_add(index * SEGMENT).filter(|at| *at >= HEADER && at + SEGMENT <= HEAD)
            else {
                break;
            };
            let kind = number(header, 4) as u32;
            let (start, size) = (number(header + 8, 8), number(header + 32, 8));
            let is_code = number(header + 4, 4) as u32 & EXECUTABLE != 0;
            let length = match kind {
                // Linkers put the names into the first one.
                PT_LOAD if start == 0 => size.min(PART),
                PT_LOAD if is_code || size > SMALL => 0,
                PT_LOAD | PT_INTERP => size.min(SMALL),
                PT_DYNAMIC if parts.iter().all(|part| part.kind != PT_DYNAMIC) => size.min(LONGEST_DYNAMIC),
                _ => continue,
            };
            let (address, segment) = (number(header + 16, 8), start..start.saturating_add(size));
            parts.push(Part { kind, header, segment, address, start, length, bytes: Vec::new() });
        }
        self.parts = Some(parts);
    }

    fn keep(&mut self, at: u64, bytes: &[u8]) {
        for part in self.parts.iter_mut().flatten().filter(|part| part.kind == PT_DYNAMIC) {
            part.keep(at, bytes, usize::MAX);
        }
        self.aim();
        let others: Vec<&mut Part> = self.parts.iter_mut().flatten().filter(|part| part.kind != PT_DYNAMIC).collect();
        let mut room = MOST_KEPT.saturating_sub(others.iter().map(|part| part.bytes.len()).sum());
        for part in others {
            room -= part.keep(at, bytes, room);
        }
    }

    /// Once the dynamic section is complete: of loaded segments, only the table of names is wanted.
    fn aim(&mut self) {
        let Some(parts) = self.parts.as_mut().filter(|_| !self.aimed) else { return };
        let dynamic = parts.iter().find(|part| part.kind == PT_DYNAMIC);
        let Some(dynamic) = dynamic.filter(|part| part.length > 0 && part.bytes.len() as u64 == part.length) else {
            return;
        };
        self.aimed = true;
        let Some(names) = names(&dynamic.bytes, parts) else { return };
        parts.iter_mut().filter(|part| part.kind == PT_LOAD).for_each(|part| part.narrow(&names));
    }
}

/// Where in the file the names are that a dynamic section speaks of.
fn names(dynamic: &[u8], parts: &[Part]) -> Option<std::ops::Range<u64>> {
    let pairs = dynamic.chunks_exact(16).map(|pair| (number(pair, 0, 8), number(pair, 8, 8)));
    let pairs: Vec<(u64, u64)> = pairs.take_while(|(tag, _)| *tag != DT_NULL).collect();
    let value = |wanted| pairs.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let (address, size) = (value(DT_STRTAB)?, value(DT_STRSZ)?);
    let start = parts.iter().filter(|part| part.kind == PT_LOAD).find_map(|part| {
        let distance = address.checked_sub(part.address)?;
        part.segment.start.checked_add(distance).filter(|start| *start < part.segment.end)
    })?;
    Some(start..start.saturating_add(size))
}

/// Little-endian; zero beyond the end.
fn number(file: &[u8], at: usize, bytes: usize) -> u64 {
    let field = file.get(at..at.saturating_add(bytes)).unwrap_or_default();
    field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn write(file: &mut [u8], at: usize, value: u64) {
    if let Some(field) = file.get_mut(at..at + 8) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_elf::Elf;

    fn sketch(bytes: &[u8], step: usize) -> Option<Vec<u8>> {
        let mut sketch = Sketch::default();
        bytes.chunks(step).for_each(|chunk| sketch.push(chunk));
        sketch.finish()
    }

    /// This test's own program is an ELF file of some megabytes.
    #[test]
    fn a_sketch_says_what_the_file_says_however_it_comes() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let whole = Elf::read(&own).unwrap();
        assert!(!whole.dynamic.as_ref().unwrap().needed.is_empty());
        for step in [1 << 10, 65_537, HEAD, 1 << 30] {
            let kept = sketch(&own, step).unwrap();
            assert_eq!(Elf::read(&kept).unwrap(), whole, "{step}");
        }
    }

    /// As patchelf leaves a library: the names in a segment of their own, behind the dynamic section.
    #[test]
    fn names_behind_the_dynamic_section_are_kept_and_little_else() {
        let mut own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected: Vec<Vec<u8>> =
            Elf::read(&own).unwrap().dynamic.unwrap().needed.iter().map(|name| name.to_vec()).collect();
        let headers = (64..64 + usize::from(own[56]) * SEGMENT).step_by(SEGMENT);
        let of_kind = |own: &[u8], wanted: u64| headers.clone().find(|at| number(own, *at, 4) == wanted).unwrap();
        let dynamic = of_kind(&own, u64::from(PT_DYNAMIC));
        let section = number(&own, dynamic + 8, 8) as usize
            ..(number(&own, dynamic + 8, 8) + number(&own, dynamic + 32, 8)) as usize;
        let entry = |own: &[u8], tag| section.clone().step_by(16).find(|at| number(own, *at, 8) == tag).unwrap();
        let (table, size) = (entry(&own, DT_STRTAB), number(&own, entry(&own, DT_STRSZ) + 8, 8));
        let mut sketch_of = Sketch { head: own[..HEAD].to_vec(), ..Sketch::default() };
        sketch_of.plan();
        let names = names(&own[section.clone()], &sketch_of.parts.unwrap()).unwrap();
        assert_eq!(names.end - names.start, size);
        // PT_GNU_STACK becomes the new segment.
        let (stack, end, address) = (of_kind(&own, 0x6474_e551), own.len() as u64 + 5_000_000, 0x4000_0000_u64);
        let moved = own[names.start as usize..names.end as usize].to_vec();
        own[names.start as usize..names.end as usize].fill(b'?');
        own.resize(end as usize, 7);
        own.extend_from_slice(&moved);
        own[stack..stack + 4].copy_from_slice(&PT_LOAD.to_le_bytes());
        for (field, value) in [(8, end), (16, address), (24, address), (32, size), (40, size)] {
            write(&mut own, stack + field, value);
        }
        write(&mut own, table + 8, address);
        for step in [1 << 10, 262_144, 1 << 30] {
            let kept = sketch(&own, step).unwrap();
            assert_eq!(Elf::read(&kept).unwrap(), Elf::read(&own).unwrap(), "{step}");
            assert_eq!(Elf::read(&kept).unwrap().dynamic.unwrap().needed, expected);
            assert!(kept.len() < 2 * HEAD + size as usize + 16_384, "{} of {}", kept.len(), own.len());
        }
    }

    /// A gigabyte that claims to be names all over, in chunks that are not all of it.
    #[test]
    fn memory_is_bounded() {
        let mut head = vec![0; HEAD];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..58].copy_from_slice(&[56, 0, 60, 0]);
        for (index, at) in (64..64 + 60 * SEGMENT).step_by(SEGMENT).enumerate() {
            let kind = [PT_LOAD, PT_INTERP, PT_DYNAMIC][index % 3];
            head[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            let size = [u64::MAX, 1 << 30, SMALL, 5000][index % 4];
            for (field, value) in [(8, if index < 30 { 0 } else { 1 << 19 }), (32, size)] {
                write(&mut head, at + field, value);
            }
        }
        let mut sketch = Sketch::default();
        sketch.push(&head);
        let chunk = vec![1; 1 << 18];
        for _ in 0..400 {
            sketch.push(&chunk);
            let kept: usize = sketch.parts.iter().flatten().map(|part| part.bytes.capacity()).sum();
            assert!(kept <= 2 * MOST_KEPT, "{kept}");
        }
    }

    #[test]
    fn program_headers_may_lie_at_the_end() {
        let mut own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected = Elf::read(&own).map(|elf| (elf.machine, elf.dynamic.unwrap().needed.len())).unwrap();
        let (table, end) = (64..64 + usize::from(own[56]) * SEGMENT, own.len() as u64);
        own.extend_from_within(table);
        own[32..40].copy_from_slice(&end.to_le_bytes());
        let kept = sketch(&own, 100_000).unwrap();
        assert_eq!(Elf::read(&kept).map(|elf| (elf.machine, elf.dynamic.unwrap().needed.len())).unwrap(), expected);
    }

    #[test]
    fn small_and_broken_files_do_no_harm() {
        assert_eq!(sketch(b"#!/bin/sh\n", 3), None);
        assert_eq!(sketch(b"", 1), None);
        assert_eq!(sketch(b"\x7fELF", 1).as_deref(), Some(b"\x7fELF".as_slice()));
        for step in [1000, 100_000] {
            let mut file = vec![0xff; 200_000];
            file[..6].copy_from_slice(b"\x7fELF\x02\x01");
            assert!(Elf::read(&sketch(&file, step).unwrap()).is_err());
            // A table of segments that overlap, each of the whole file and of more.
            file[32..40].copy_from_slice(&64_u64.to_le_bytes());
            file[54..58].copy_from_slice(&[56, 0, 60, 0]);
            for at in (64..64 + 60 * 56).step_by(56) {
                file[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
            }
            assert!(sketch(&file, step).is_some());
        }
    }
}
