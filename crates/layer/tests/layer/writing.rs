use std::io::{self, Read, Write};

use corten_layer::write::{Compression, Deflated, LayerWriter, Written};
use corten_oci::{DiffId, Digest, Entry, Kind, LayerPath};
use flate2::{Compress, FlushCompress};

use crate::support::{Random, entry, judge, peak_memory};

pub(crate) const MTIME: u64 = 315_619_200;

pub(crate) const EVERY: [Compression; 5] =
    [Compression::Stored, Compression::Splice, Compression::Gzip, Compression::Zstd, Compression::Estargz];

/// One call of a writer.
#[derive(Clone)]
pub(crate) enum Call {
    Bare(Entry),
    File(Entry, Vec<u8>),
    /// Content, its deflate stream, what is appended.
    Deflated(Entry, Vec<u8>, Vec<u8>, Vec<u8>),
}

/// Deflates with blocks ended here and there, so that streams end in every way that deflaters have.
fn deflate(random: &mut Random, content: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::new(random.below(10) as u32), false);
    let mut out = Vec::with_capacity(content.len() * 2 + 65_536);
    let mut rest = content;
    while random.below(3) == 0 && !rest.is_empty() {
        let (now, later) = rest.split_at(random.below(rest.len()));
        let flush = if random.below(2) == 0 { FlushCompress::Sync } else { FlushCompress::Partial };
        compress.compress_vec(now, &mut out, flush).unwrap();
        rest = later;
    }
    compress.compress_vec(rest, &mut out, FlushCompress::Finish).unwrap();
    out
}

pub(crate) fn random_calls(seed: u64) -> Vec<Call> {
    let mut random = Random::new(seed);
    let mut calls = vec![Call::Bare(entry("d", Kind::Directory, 0o755, 0))];
    for number in 0..random.below(40) + 1 {
        let size = [0, 1, 511, 512, 513, 3000, 40_000, 200_000, 700_000][random.below(9)];
        let content = random.bytes(size);
        let long = "long-name/".repeat(random.below(2) * random.below(30));
        let path = format!("d/{long}file-{number}");
        calls.push(match random.below(6) {
            0 => Call::Bare(entry(&path, Kind::Directory, 0o755, 0)),
            1 | 2 => Call::File(entry(&path, Kind::File, 0o644, size), content),
            _ => {
                let size = random.below(3) * 17;
                let suffix = random.bytes(size);
                let stream = if content.is_empty() { vec![3, 0] } else { deflate(&mut random, &content) };
                let whole = content.len() + suffix.len();
                Call::Deflated(entry(&path, Kind::File, 0o755, whole), content, stream, suffix)
            }
        });
    }
    calls
}

/// Hands out a few bytes at a time.
struct Dripping<'a>(&'a [u8], usize);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 * 7 % 8191 + 1;
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

pub(crate) fn write(calls: &[Call], compression: Compression) -> (Vec<u8>, Written) {
    let mut writer = LayerWriter::new(Vec::new(), compression, MTIME);
    for call in calls {
        match call.clone() {
            Call::Bare(entry) => writer.bare(entry),
            Call::File(entry, content) => writer.file(entry, &mut Dripping(&content, 1)),
            Call::Deflated(entry, content, stream, suffix) => {
                let (compressed_size, crc32) = (stream.len() as u64, crc32fast::hash(&content));
                let mut stream = Dripping(&stream, 5);
                writer.deflated(entry, Deflated { stream: &mut stream, compressed_size, crc32 }, &suffix)
            }
        }
        .unwrap();
    }
    writer.finish().unwrap()
}

/// Exactly one member, nothing behind it.
pub(crate) fn gunzip(blob: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(blob);
    decoder.read_to_end(&mut content).unwrap();
    assert!(decoder.into_inner().is_empty(), "one gzip member and no more");
    content
}

#[test]
fn one_gzip_member_holds_the_same_tar_as_a_stored_layer() {
    for seed in 0..50 {
        let calls = random_calls(seed);
        let (tar, stored) = write(&calls, Compression::Stored);
        assert_eq!((stored.diff_id, stored.tar_size), (DiffId(Digest::of(&tar)), tar.len() as u64), "seed {seed}");
        let anew = (seed < 12).then_some(Compression::Gzip);
        for compression in [Compression::Splice].into_iter().chain(anew) {
            let (blob, written) = write(&calls, compression);
            assert_eq!(gunzip(&blob), tar, "seed {seed}");
            assert_eq!(stored, written, "seed {seed}");
        }
        check_index(&calls, &stored, &tar);
        if seed > 12 {
            continue;
        }
        let (blob, written) = write(&calls, Compression::Zstd);
        assert!(zstd::decode_all(blob.as_slice()).unwrap() == tar, "seed {seed}");
        assert_eq!(stored, written, "seed {seed}");
    }
}

fn check_index(calls: &[Call], written: &Written, tar: &[u8]) {
    assert_eq!(calls.len(), written.index.entries.len());
    for (call, entry) in calls.iter().zip(&written.index.entries) {
        let content = match call {
            Call::Bare(_) => Vec::new(),
            Call::File(_, content) => content.clone(),
            Call::Deflated(_, content, _, suffix) => [content.as_slice(), suffix].concat(),
        };
        let offset = entry.offset as usize;
        assert_eq!(tar[offset..offset + entry.size as usize], content, "{entry:?}");
        let crc32 = (entry.kind == Kind::File).then(|| crc32fast::hash(&content));
        assert_eq!(entry.crc32, crc32, "{entry:?}");
    }
}

#[test]
fn other_tools_read_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let blob_path = folder.path().join("layer.tar.gz");
    let blob_text = blob_path.to_str().unwrap();
    for seed in [3, 4, 5, 6] {
        let calls = random_calls(seed);
        let (blob, _) = write(&calls, Compression::Splice);
        std::fs::write(&blob_path, &blob).unwrap();
        let expected: String = calls.iter().map(listed).collect();
        judge("gzip", &["--test", blob_text]);
        let names: String = expected.lines().map(|line| format!("{}\n", line.split(' ').next().unwrap())).collect();
        let told = judge("tar", &["--list", "--gzip", "--file", blob_text]);
        assert!(told.is_none_or(|told| told.replace("/\n", "\n") == names), "seed {seed}");
        for mode in ["r:gz", "r|gz"] {
            let told = judge("python3", &["-c", PYTHON_LIST, blob_text, mode]);
            assert!(told.is_none_or(|told| told == expected), "seed {seed}, mode {mode}");
        }
        let told = judge("python3", &["-c", "import gzip, sys; print(len(gzip.open(sys.argv[1]).read()))", blob_text]);
        assert!(told.is_none_or(|told| told.trim() == gunzip(&blob).len().to_string()), "seed {seed}");
    }
}

const PYTHON_LIST: &str = "
import sys, tarfile, zlib
with tarfile.open(sys.argv[1], sys.argv[2]) as tar:
    for m in tar:
        assert (m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, '', '', 315619200)
        content = tar.extractfile(m).read() if m.isfile() else b''
        print(m.name, oct(m.mode), m.size, zlib.crc32(content))
";

pub(crate) fn listed(call: &Call) -> String {
    let (entry, content) = match call {
        Call::Bare(entry) => (entry, Vec::new()),
        Call::File(entry, content) => (entry, content.clone()),
        Call::Deflated(entry, content, _, suffix) => (entry, [content.as_slice(), suffix].concat()),
    };
    format!("{} 0o{:o} {} {}\n", entry.path, entry.mode, entry.size, crc32fast::hash(&content))
}

/// Stored blocks of the given sizes, without a last one.
fn stored_blocks(content: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), content);
    for &size in sizes {
        let (now, later) = rest.split_at(size);
        out.push(0);
        out.extend((size as u16).to_le_bytes());
        out.extend((!(size as u16)).to_le_bytes());
        out.extend(now);
        rest = later;
    }
    out
}

#[test]
fn a_block_may_end_anywhere_around_the_end_of_a_buffer() {
    // Streams are read in chunks of 256 KiB: the boundary lies at, before and behind the end of the first one.
    for last in 65_500..65_535 {
        let content = Random::new(9).bytes(3 * 65_535 + last);
        let sizes = [65_535, 65_535, 65_535, last];
        for end in [[3, 0].as_slice(), &[1, 0, 0, 0xff, 0xff]] {
            let stream = [&stored_blocks(&content, &sizes), end].concat();
            let call =
                Call::Deflated(entry("f", Kind::File, 0o644, content.len()), content.clone(), stream, Vec::new());
            let calls = [call.clone(), call];
            let (tar, written) = write(&calls, Compression::Stored);
            let (blob, spliced) = write(&calls, Compression::Splice);
            assert!(gunzip(&blob) == tar && written == spliced, "{last} bytes in the last block, end {end:?}");
        }
    }
}

#[test]
fn every_kind_of_entry_is_what_other_tools_see() {
    let mut owned = entry("owned", Kind::File, 0o4755, 0);
    (owned.uid, owned.gid) = (10_001, 3_000_000_000);
    let target = LayerPath::new("owned").unwrap();
    let long = format!("x{}", "/y".repeat(200));
    let entries = [
        entry("", Kind::Directory, 0o755, 0),
        owned,
        entry("hard", Kind::HardLink(target), 0o644, 0),
        entry("soft", Kind::Symlink("../a b".to_owned()), 0o777, 0),
        entry("far", Kind::Symlink(long.clone()), 0o777, 0),
        entry("character", Kind::CharacterDevice(1, 3), 0o666, 0),
        entry("block", Kind::BlockDevice(8, 1), 0o660, 0),
        entry("pipe", Kind::Fifo, 0o600, 0),
        entry("gone/name", Kind::Whiteout, 0o644, 0),
        entry("gone", Kind::Whiteout, 0o644, 0),
        entry("opaque", Kind::Opaque, 0o644, 0),
        entry(&long, Kind::File, 0o644, 0),
        entry("größe", Kind::File, 0o644, 0),
    ];
    let (blob, written) = write(&entries.clone().map(Call::Bare), Compression::Splice);
    let paths =
        |index: &[Entry]| index.iter().map(|entry| (entry.path.clone(), entry.kind.clone())).collect::<Vec<_>>();
    assert_eq!(paths(&written.index.entries), paths(&entries));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar.gz");
    std::fs::write(&path, blob).unwrap();
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    print(m.type.decode(), m.name, oct(m.mode), m.uid, m.gid, m.linkname, m.devmajor, m.devminor)
";
    let expected = format!(
        "5 . 0o755 0 0  0 0
0 owned 0o4755 10001 3000000000  0 0
1 hard 0o644 0 0 owned 0 0
2 soft 0o777 0 0 ../a b 0 0
2 far 0o777 0 0 {long} 0 0
3 character 0o666 0 0  1 3
4 block 0o660 0 0  8 1
6 pipe 0o600 0 0  0 0
0 gone/.wh.name 0o644 0 0  0 0
0 .wh.gone 0o644 0 0  0 0
0 opaque/.wh..wh..opq 0o644 0 0  0 0
0 {long} 0o644 0 0  0 0
0 größe 0o644 0 0  0 0
"
    );
    let told = judge("python3", &["-X", "utf8", "-c", script, path.to_str().unwrap()]);
    assert!(told.as_ref().is_none_or(|told| *told == expected), "{}", told.unwrap_or_default());
    judge("tar", &["--list", "--verbose", "--gzip", "--file", path.to_str().unwrap()]);
}

#[test]
fn a_member_that_lies_is_refused_and_spoils_the_layer() {
    let content = Random::new(1).bytes(300_000);
    let stream = deflate(&mut Random::new(2), &content);
    let crc = crc32fast::hash(&content);
    let bigger = [stream.as_slice(), b"x"].concat();
    let mut bent = stream.clone();
    bent[stream.len() / 2] ^= 0x10;
    let half = &stream[..stream.len() / 2];
    let size = content.len();
    let lies: [(&str, &[u8], usize, usize, u32); 9] = [
        ("CRC-32", &stream, stream.len(), size, crc ^ 1),
        ("not the", &stream, stream.len(), size + 1, crc),
        ("more than", &stream, stream.len(), size - 1, crc),
        ("more than", &stream, stream.len(), 0, 0),
        ("follow the end", &bigger, bigger.len(), size, crc),
        ("is cut off", half, stream.len(), size, crc),
        ("does not end", half, half.len(), size, crc),
        ("does not end", &[], 0, 0, 0),
        ("", &bent, bent.len(), size, crc),
    ];
    for compression in EVERY {
        for (reason, stream, compressed_size, size, crc32) in lies {
            let mut writer = LayerWriter::new(io::sink(), compression, MTIME);
            let compressed_size = compressed_size as u64;
            let deflated = Deflated { stream: &mut &stream[..], compressed_size, crc32 };
            let error = writer.deflated(entry("lib/liar", Kind::File, 0o644, size), deflated, &[]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{reason}: {error}");
            let message = error.to_string();
            assert!(message.contains(reason) && message.contains("'lib/liar'"), "{reason}: {message}");
            assert!(writer.bare(entry("a", Kind::Directory, 0o755, 0)).is_err(), "{reason}");
            assert!(writer.finish().is_err(), "{reason}");
        }
    }
}

#[test]
fn a_file_must_have_exactly_its_size() {
    for (size, compression) in [4, 6].into_iter().flat_map(|size| EVERY.map(|compression| (size, compression))) {
        let mut writer = LayerWriter::new(io::sink(), compression, MTIME);
        assert!(writer.file(entry("f", Kind::File, 0o644, size), &mut b"12345".as_slice()).is_err());
    }
}

#[test]
fn big_content_is_compressed_and_does_not_depend_on_how_it_is_read() {
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(|i| (i / 3).to_string().into_bytes()).take(5_000_000).collect();
    let big = entry("big", Kind::File, 0o644, content.len());
    let dripping = write(&[Call::File(big.clone(), content.clone())], Compression::Splice);
    let mut writer = LayerWriter::new(Vec::new(), Compression::Splice, MTIME);
    writer.file(big, &mut content.as_slice()).unwrap();
    assert!(writer.finish().unwrap() == dripping);
    assert!(dripping.0.len() < content.len() / 3, "{} bytes", dripping.0.len());
    assert!(gunzip(&dripping.0)[512..].starts_with(&content));
}

/// A layer's bytes are part of the format: they may change only together with its version.
#[test]
fn the_bytes_of_a_layer_are_frozen() {
    let content = b"import this\n".repeat(100);
    let stream = [stored_blocks(&content, &[1000, 200]).as_slice(), &[3, 0]].concat();
    let name = "opt/venv/lib/python3.11/site-packages/this/__init__.py";
    let size = content.len() + 9;
    let calls = [
        Call::Bare(entry("opt", Kind::Directory, 0o755, 0)),
        Call::Deflated(entry(name, Kind::File, 0o644, size), content, stream, b"appended\n".to_vec()),
        Call::File(entry("opt/venv/INSTALLER", Kind::File, 0o644, 7), b"corten\n".to_vec()),
        Call::Bare(entry("opt/venv/bin/python", Kind::Symlink("/usr/bin/python3.11".to_owned()), 0o777, 0)),
    ];
    let (blob, written) = write(&calls, Compression::Splice);
    assert_eq!(written.diff_id.0.short(), "33e129f4d7c3");
    assert_eq!(Digest::of(&blob).short(), "3b76705ceea3");
}

/// Stored blocks without end, made as they are read.
struct Endless {
    block: Vec<u8>,
    left: usize,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && self.left > 1 {
            (self.left, self.at) = (self.left - 1, 0);
            self.block[0] = u8::from(self.left == 1);
        }
        let count = (&self.block[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[test]
fn memory_does_not_grow_with_a_member() {
    const BLOCKS: usize = 9000;
    let content = vec![b'c'; 65_535];
    let block = stored_blocks(&content, &[65_535]);
    let size = BLOCKS * content.len();
    let compressed_size = (BLOCKS * block.len()) as u64;
    let mut crc = crc32fast::Hasher::new();
    (0..BLOCKS).for_each(|_| crc.update(&content));
    let mut stream = Endless { at: block.len(), block, left: BLOCKS + 1 };
    let mut writer = LayerWriter::new(Counting(0), Compression::Splice, MTIME);
    let deflated = Deflated { stream: &mut stream, compressed_size, crc32: crc.finalize() };
    writer.deflated(entry("huge", Kind::File, 0o644, size), deflated, &[]).unwrap();
    let (sink, written) = writer.finish().unwrap();
    assert!(sink.0 > compressed_size && sink.0 < compressed_size + 1000, "{} bytes of blob", sink.0);
    assert_eq!(written.tar_size, size as u64 + 512 + 1024 + (512 - size as u64 % 512) % 512);
    let peak = peak_memory();
    assert!(peak.is_none_or(|peak| peak < 500_000), "peak of the whole test binary: {peak:?} kB");
}

struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
