use std::path::PathBuf;
use std::process::{Command, Stdio};

use corten_oci::{Entry, Kind, LayerPath};

/// A small generator of numbers, the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end.max(1)
    }

    /// Bytes that deflate gets something from, but not everything.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words: Vec<u64> = (0..64).map(|_| self.next()).collect();
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            let word = if self.below(4) == 0 { self.next() } else { words[self.below(64)] };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

pub(crate) fn entry(path: &str, kind: Kind, mode: u32, size: usize) -> Entry {
    let path = LayerPath::new(path).unwrap();
    Entry { path, kind, mode, uid: 0, gid: 0, size: size as u64, crc32: None, offset: 0, package: None }
}

/// The folder of fixtures; none (with the reason printed) outside the place where they lie.
pub(crate) fn fixtures(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    absent(&format!("fixtures {}", path.display()));
    None
}

/// Runs a judge; none (with the reason printed) where it is not installed.
pub(crate) fn judge(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).stdin(Stdio::null()).output() else {
        absent(program);
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The most memory that this process ever had, in kB.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}

fn absent(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is needed in CI");
    println!("not judged: {what} is not here");
}
