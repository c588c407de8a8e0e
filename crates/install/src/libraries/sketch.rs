//! The few bytes of an ELF file that the loader's questions need, kept while the file passes by.
//!
//! The dynamic section says where the names are, and may come behind them. So of each loaded segment the beginning is
//! kept, where linkers put the names, and of the dynamic section everything; the rest of a library of a gigabyte is
//! let go. What is kept makes a small file with the same headers but for offsets.
//!
//! ```text
//! file:  header, program headers │ LOAD: names … code … │ LOAD: data │ DYNAMIC │ …
//! kept:  header, program headers │ LOAD: names …        │ LOAD: data │ DYNAMIC
//! ```

/// Bytes that are kept of a segment. The names of the largest library that was seen (2.7 GB) lie in the first 13 MB.
const PART: u64 = 24 << 20;
/// Where the program headers must end; usually at 1 KiB.
const HEAD: usize = 64 * 1024;
/// Segments that are looked at; usual are 11.
const MOST_SEGMENTS: usize = 64;
/// All that is kept of a file.
const MOST_KEPT: usize = 96 << 20;

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// A file on its way.
#[derive(Default)]
pub(super) struct Sketch {
    at: u64,
    head: Vec<u8>,
    parts: Option<Vec<Part>>,
    other: bool,
    kept: usize,
    /// The program headers lie at the end, where some tools put them: the file is kept as it is.
    whole: bool,
}

/// A range of the file, as far as it is kept.
struct Part {
    /// Where its program header is.
    header: usize,
    start: u64,
    length: u64,
    bytes: Vec<u8>,
}

impl Sketch {
    /// More bytes of the file.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.other {
            return;
        }
        if self.whole {
            let room = MOST_KEPT.saturating_sub(self.head.len());
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
            write(&mut file, part.header + 32, part.bytes.len() as u64);
            file.extend_from_slice(&part.bytes);
        }
        Some(file)
    }

    /// Which ranges are wanted, by the program headers.
    fn plan(&mut self) {
        let number = |at: usize, bytes: usize| -> u64 {
            let field = self.head.get(at..at + bytes).unwrap_or_default();
            field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        let table = usize::try_from(number(32, 8)).unwrap_or(usize::MAX);
        let count = usize::try_from(number(56, 2)).unwrap_or(0).min(MOST_SEGMENTS);
        if table.saturating_add(count * SEGMENT) > HEAD {
            self.whole = true;
            return;
        }
        let mut parts = Vec::new();
        for index in 0..count {
            let Some(header) = table.checked_add(index * SEGMENT).filter(|at| *at >= HEADER && at + SEGMENT <= HEAD)
            else {
                break;
            };
            let kind = number(header, 4) as u32;
            if matches!(kind, PT_LOAD | PT_DYNAMIC | PT_INTERP) {
                let (start, length) = (number(header + 8, 8), number(header + 32, 8).min(PART));
                parts.push(Part { header, start, length, bytes: Vec::new() });
            }
        }
        self.parts = Some(parts);
    }

    fn keep(&mut self, at: u64, bytes: &[u8]) {
        let end = at.saturating_add(bytes.len() as u64);
        for part in self.parts.iter_mut().flatten() {
            let wanted = part.start.saturating_add(part.bytes.len() as u64);
            let last = part.start.saturating_add(part.length).min(end);
            if wanted < at || wanted >= last || self.kept >= MOST_KEPT {
                continue;
            }
            let (from, to) = ((wanted - at) as usize, (last - at) as usize);
            let kept = bytes.get(from..to).unwrap_or_default();
            part.bytes.extend_from_slice(kept);
            self.kept += kept.len();
        }
    }
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
