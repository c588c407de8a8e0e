use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// A file with one PT_LOAD over everything, an interpreter, and the given dynamic entries and strings.
fn file(entries: &[(u64, u64)], strings: &[u8]) -> Vec<u8> {
    let (headers, interpreter) = (64 + 3 * 56, b"/lib64/ld.so\0");
    let strings_at = headers + interpreter.len();
    let dynamic_at = strings_at + strings.len();
    let mut all = entries.to_vec();
    all.extend([(5, 0x1000 + strings_at as u64), (10, strings.len() as u64), (0, 0), (1, 0xffff)]);
    let size = dynamic_at + all.len() * 16;
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    bytes[16] = 3;
    bytes[18] = 62;
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[54] = 56;
    bytes[56] = 3;
    for (kind, offset, length) in [(1u32, 0, size), (3, headers, interpreter.len()), (2, dynamic_at, all.len() * 16)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend([4, 0, 0, 0]);
        for value in [offset, 0x1000 + offset, 0x1000 + offset, length, length, 1] {
            bytes.extend((value as u64).to_le_bytes());
        }
    }
    bytes.extend_from_slice(interpreter);
    bytes.extend_from_slice(strings);
    for (tag, value) in all {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

fn good() -> Vec<u8> {
    file(&[(1, 1), (1, 8), (14, 16), (29, 24), (15, 32)], b"\0liba.so\0lib.so\0\0me.so\0\0$ORIGIN\0/r\0")
}

#[test]
fn reads_what_the_loader_reads() {
    let bytes = file(&[(1, 1), (14, 9), (29, 15), (15, 23)], b"\0liba.so\0me.so\0$ORIGIN\0/r\0");
    let elf = Elf::read(&bytes).unwrap();
    assert_eq!((elf.machine, elf.kind), (Machine::X86_64, ObjectKind::Dynamic));
    assert_eq!(elf.interpreter, Some(&b"/lib64/ld.so"[..]));
    let dynamic = elf.dynamic.unwrap();
    assert_eq!(dynamic.needed, [b"liba.so"], "entries after DT_NULL do not count");
    assert_eq!(dynamic.soname, Some(&b"me.so"[..]));
    assert_eq!(dynamic.runpath, Some(&b"$ORIGIN"[..]));
    assert_eq!(dynamic.rpath, Some(&b"/r"[..]));
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(Elf::read(b"#!/bin/sh\n"), Err(ElfError::NotElf));
    assert_eq!(Elf::read(b""), Err(ElfError::NotElf));
    let mut bytes = good();
    bytes[4] = 1;
    assert_eq!(Elf::read(&bytes), Err(ElfError::Unsupported));
}

#[test]
fn names_outside_the_string_table_are_refused() {
    for at in [9, 10, u64::MAX] {
        let bytes = file(&[(1, at)], b"\0liba.so\0");
        assert!(matches!(Elf::read(&bytes), Err(ElfError::Outside { .. })), "{at}");
    }
    assert!(Elf::read(&file(&[(1, 1)], b"\0endless")).is_err());
}

#[test]
fn no_cut_and_no_flipped_bit_panics() {
    let bytes = good();
    for end in 0..bytes.len() {
        let _ = Elf::read(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] = value;
            let _ = Elf::read(&broken);
        }
    }
}

fn host_files() -> Vec<PathBuf> {
    let folders = ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files.into_iter().step_by(7).take(250).collect()
}

fn readelf(path: &Path) -> Option<String> {
    let output = Command::new("readelf").args(["-d", "-l", "-W"]).arg(path).env("LC_ALL", "C").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn quoted<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let lines = text.lines().filter(|line| line.contains(tag));
    lines.filter_map(|line| Some(line.split_once('[')?.1.rsplit_once(']')?.0)).collect()
}

#[test]
fn agrees_with_readelf_on_the_host() {
    if readelf(Path::new("/bin/true")).is_none() {
        assert!(std::env::var_os("CI").is_none(), "readelf (package binutils) is missing");
        eprintln!("skipped: no readelf on this machine");
        return;
    }
    let mut compared = 0;
    for path in host_files() {
        let bytes = fs::read(&path).unwrap();
        if !is_elf(&bytes) {
            continue;
        }
        let (Ok(elf), Some(truth)) = (Elf::read(&bytes), readelf(&path)) else {
            panic!("{} is not read", path.display())
        };
        let dynamic = elf.dynamic.unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let one = |bytes: Option<&[u8]>| bytes.map(text).into_iter().collect::<Vec<_>>();
        assert_eq!(
            dynamic.needed.iter().map(|name| text(name)).collect::<Vec<_>>(),
            quoted(&truth, "(NEEDED)"),
            "{path:?}"
        );
        assert_eq!(one(dynamic.soname), quoted(&truth, "(SONAME)"), "{path:?}");
        assert_eq!(one(dynamic.runpath), quoted(&truth, "(RUNPATH)"), "{path:?}");
        assert_eq!(one(dynamic.rpath), quoted(&truth, "(RPATH)"), "{path:?}");
        let interpreter = truth.split("program interpreter: ").nth(1).and_then(|rest| rest.split(']').next());
        assert_eq!(elf.interpreter.map(text).as_deref(), interpreter, "{path:?}");
        compared += 1;
    }
    assert!(compared > 20, "only {compared} ELF files found to compare");
}

#[test]
fn the_processor_of_every_class_and_byte_order() {
    let head = |class, order, number: [u8; 2]| {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, order];
        bytes.resize(18, 0);
        bytes.extend(number);
        bytes
    };
    assert_eq!(machine(&head(1, 1, [3, 0])), Some(3), "i386");
    assert_eq!(machine(&head(2, 1, [183, 0])), Some(183), "arm64");
    assert_eq!(machine(&head(2, 2, [0, 22])), Some(22), "s390x");
    assert_eq!(machine(&head(2, 3, [62, 0])), None, "no byte order");
    assert_eq!(machine(&head(2, 1, [62, 0])[..19]), None, "cut short");
    assert_eq!(machine(b"#!/bin/sh\n# not ELF at all"), None);
}
