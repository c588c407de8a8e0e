//! Converts wheels to layers and compares the cost with its bound, measured in the same run.
//!
//! `cargo run --release -p corten-layer --example convert -- [--repeats 3] [--out FOLDER] WHEEL…`
//!
//! The bound is what nobody can leave out: read, inflate (flate2 on zlib-rs), CRC-32, SHA-256 of wheel, tar and blob,
//! write. CPU seconds are those of the whole process, all threads; each is the best of the repeats. `benches/run` reads the
//! last line.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten_layer::write::{Compression, Deflated, LayerWriter, Written};
use corten_layer::zip::Archive;
use corten_oci::{Digest, Digester, Entry, Kind, LayerPath};
use rustix::time::{ClockId, clock_gettime};

const SITE_PACKAGES: &str = "opt/venv/lib/python3.12/site-packages";
const MTIME: u64 = 315_619_200;

fn main() {
    let mut arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut option = |name: &str| {
        let asked = arguments.first().is_some_and(|argument| argument.as_os_str() == name);
        asked.then(|| arguments.drain(..2).nth(1).expect("an option needs a value"))
    };
    let repeats = option("--repeats").map_or(3, |count| count.to_string_lossy().parse().expect("a number"));
    let out = option("--out").unwrap_or_else(std::env::temp_dir);
    let head = ["tar MB", "B/file", "CPU s", "MB/s", "wall s", "bound", "ratio"];
    println!("{:<28} {}", "wheel", head.map(|title| format!("{title:>8}")).join(""));
    let mut totals = [0.0; 3];
    for wheel in &arguments {
        let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let blob = out.join(format!("{name}.tar.gz"));
        let (converted, written, size) = best(repeats, || convert(wheel, &blob).expect("the wheel converts"));
        let (bound, ..) = best(repeats, || (bound(wheel, &blob).expect("the wheel is readable"), written.clone(), 0));
        let tar = written.tar_size as f64 / 1e6;
        let over = bytes_over_members(wheel, size).expect("the wheel is readable");
        let (cpu, least) = (converted.cpu.as_secs_f64(), bound.cpu.as_secs_f64());
        let short: String = name.chars().take(28).collect();
        let wall = converted.wall.as_secs_f64();
        let (speed, ratio) = (tar / cpu, cpu / least);
        println!("{short:<28} {tar:>8.1}{over:>8.0}{cpu:>8.3}{speed:>8.0}{wall:>8.3}{least:>8.3}{ratio:>8.2}");
        totals = [totals[0] + tar, totals[1] + cpu, totals[2] + least];
    }
    let [tar, cpu, least] = totals;
    println!("together: {tar:.1} MB of tar, {cpu:.3} CPU s, bound {least:.3} CPU s, ratio {:.2}", cpu / least);
}

#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

fn best<T>(repeats: usize, mut run: impl FnMut() -> (T, Written, u64)) -> (Cost, Written, u64) {
    let once = |_| {
        let (cpu, wall) = (cpu_now(), Instant::now());
        let (_, written, size) = run();
        (Cost { cpu: cpu_now() - cpu, wall: wall.elapsed() }, written, size)
    };
    (0..repeats).map(once).min_by_key(|(cost, ..)| cost.cpu).expect("there is a run")
}

fn cpu_now() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Writes and hashes, as the store does.
struct Blob {
    file: File,
    digester: Digester,
    size: u64,
}

impl Blob {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, digester: Digester::new(), size: 0 })
    }
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn convert(wheel: &Path, blob: &Path) -> Result<(Digest, Written, u64), Box<dyn std::error::Error>> {
    let mut archive = Archive::new(File::open(wheel)?)?;
    let mut writer = LayerWriter::new(Blob::create(blob)?, Compression::Splice, MTIME);
    let mut folders = std::collections::BTreeSet::new();
    for member in archive.members().to_vec() {
        let path = LayerPath::new(format!("{SITE_PACKAGES}/{}", member.name))?;
        for folder in path.ancestors() {
            if folders.insert(folder.clone()) {
                writer.bare(entry(folder, Kind::Directory, 0o755, 0))?;
            }
        }
        let mode = if member.mode.unwrap_or(0) & 0o111 == 0 { 0o644 } else { 0o755 };
        let entry = entry(path, Kind::File, mode, member.size);
        let mut stream = archive.raw(&member)?;
        if member.deflated {
            let (compressed_size, crc32) = (member.compressed_size, member.crc32);
            writer.deflated(entry, Deflated { stream: &mut stream, compressed_size, crc32 }, &[])?;
        } else {
            writer.file(entry, &mut stream)?;
        }
    }
    let (blob, written) = writer.finish()?;
    Ok((blob.digester.finish(), written, blob.size))
}

/// What the layer adds to the members' own bytes, for each file.
fn bytes_over_members(wheel: &Path, blob: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let archive = Archive::new(File::open(wheel)?)?;
    let own: u64 = archive.members().iter().map(|member| member.compressed_size).sum();
    Ok((blob as f64 - own as f64) / archive.members().len() as f64)
}

fn entry(path: LayerPath, kind: Kind, mode: u32, size: u64) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
}

/// Reads and hashes the wheel, inflates and hashes its members, hashes and writes as many bytes as the blob has (but for
/// our own headers, a hundredth).
fn bound(wheel: &Path, blob: &Path) -> Result<Digest, Box<dyn std::error::Error>> {
    let mut archive = Archive::new(File::open(wheel)?)?;
    let (mut tar, mut own) = (Digester::new(), Digester::new());
    let mut out = Blob::create(&blob.with_extension("bound"))?;
    let (mut raw, mut content) = (Vec::new(), vec![0; 256 * 1024]);
    let mut inflate = flate2::Decompress::new(false);
    for member in archive.members().to_vec() {
        raw.clear();
        archive.raw(&member)?.read_to_end(&mut raw)?;
        own.update(&raw);
        if member.deflated && inflate_all(&raw, &mut inflate, &mut content, &mut tar)? != member.crc32 {
            return Err("a member's CRC-32 is wrong".into());
        }
        out.write_all(&raw)?;
    }
    std::hint::black_box(own.finish());
    Ok(tar.finish())
}

/// The CRC-32 of the content, which `tar` hashes.
fn inflate_all(
    raw: &[u8],
    inflate: &mut flate2::Decompress,
    content: &mut [u8],
    tar: &mut Digester,
) -> Result<u32, flate2::DecompressError> {
    inflate.reset(false);
    let mut crc = crc32fast::Hasher::new();
    loop {
        let (taken, given) = (inflate.total_in() as usize, inflate.total_out());
        let status = inflate.decompress(&raw[taken..], content, flate2::FlushDecompress::None)?;
        let bytes = &content[..(inflate.total_out() - given) as usize];
        crc.update(bytes);
        tar.update(bytes);
        if status != flate2::Status::Ok {
            return Ok(crc.finalize());
        }
    }
}
