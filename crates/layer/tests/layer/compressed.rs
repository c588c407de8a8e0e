//! Layers in zstd, in gzip anew and in eStargz, read by others; the number of threads; zstd that is not to be trusted.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use corten_layer::gzip;
use corten_layer::write::{Compression, Deflated, LayerWriter, Written};
use corten_oci::{Descriptor, Digest, Digester, Kind, MediaType};

use crate::support::{Random, entry, judge, peak_memory};
use crate::writing::{Call, EVERY, MTIME, gunzip, listed, random_calls, write};

/// A file that deflates well, as one stream.
fn deflated(name: &str, content: Vec<u8>) -> Call {
    let mut compress = flate2::Compress::new(flate2::Compression::new(3), false);
    let mut stream = Vec::with_capacity(content.len() / 2 + 100_000);
    compress.compress_vec(&content, &mut stream, flate2::FlushCompress::Finish).unwrap();
    Call::Deflated(entry(name, Kind::File, 0o644, content.len()), content, stream, Vec::new())
}

fn text(size: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| format!("{:x} ", number.wrapping_mul(2_654_435_761) >> 12).into_bytes())
        .take(size)
        .collect()
}

#[test]
fn threads_do_not_change_a_byte() {
    let calls = [
        Call::File(entry("big", Kind::File, 0o644, 11_000_000), text(11_000_000)),
        deflated("stream", text(3_000_000)),
        Call::File(entry("small", Kind::File, 0o644, 5), b"small".to_vec()),
    ];
    for compression in EVERY {
        let with = |threads| {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut writer = LayerWriter::with_threads(Vec::new(), compression, MTIME, threads);
            for call in &calls {
                match call.clone() {
                    Call::Bare(entry) => writer.bare(entry),
                    Call::File(entry, content) => writer.file(entry, &mut content.as_slice()),
                    Call::Deflated(entry, content, stream, suffix) => {
                        let (compressed_size, crc32) = (stream.len() as u64, crc32fast::hash(&content));
                        let content = Deflated { stream: &mut stream.as_slice(), compressed_size, crc32 };
                        writer.deflated(entry, content, &suffix)
                    }
                }
                .unwrap();
            }
            writer.finish().unwrap()
        };
        let one = with(1);
        assert!(with(2) == one && with(7) == one, "{compression:?}");
    }
}

#[test]
fn zstd_and_python_read_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for seed in [3, 8] {
        let mut calls = random_calls(seed);
        calls.push(Call::File(entry("z/big", Kind::File, 0o644, 9_000_000), text(9_000_000)));
        let (tar, _) = write(&calls, Compression::Stored);
        let path = folder.path().join("layer.tar.zst");
        std::fs::write(&path, write(&calls, Compression::Zstd).0).unwrap();
        let out = folder.path().join("layer.tar");
        judge("zstd", &["--test", "--quiet", path.to_str().unwrap()]);
        let read = judge("zstd", &["-d", "-q", "-f", "-o", out.to_str().unwrap(), path.to_str().unwrap()]);
        assert!(read.is_none() || std::fs::read(&out).unwrap() == tar, "seed {seed}");
        // Every frame says its size and has a checksum: what a reader needs to give each frame to another thread.
        let list = judge("zstd", &["--list", path.to_str().unwrap()]);
        assert!(list.is_none_or(|list| list.contains("XXH64") && list.contains("MiB")), "seed {seed}");

        let path = folder.path().join("layer.tar.gz");
        let path = path.to_str().unwrap();
        std::fs::write(path, write(&calls, Compression::Gzip).0).unwrap();
        judge("gzip", &["--test", path]);
        let script = "
import gzip, sys, zlib
blob = open(sys.argv[1], 'rb').read()
tar = zlib.decompress(blob, wbits=31)  # refuses a second member
assert tar == gzip.decompress(blob) == open(sys.argv[2], 'rb').read()
";
        std::fs::write(&out, &tar).unwrap();
        judge("python3", &["-c", script, path, out.to_str().unwrap()]);
    }
}

#[test]
fn estargz_is_a_layer_for_readers_that_know_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar.gz");
    let path = path.to_str().unwrap();
    for seed in 0..12 {
        let calls = random_calls(seed);
        let (blob, written) = write(&calls, Compression::Estargz);
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(blob.as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!((written.diff_id.0, written.tar_size), (Digest::of(&tar), tar.len() as u64), "seed {seed}");
        let index = corten_layer::tar::index(tar.as_slice()).unwrap().index;
        let bare = written.index.entries.iter().map(|entry| (&entry.path, entry.offset, entry.size, entry.crc32));
        let read = index.entries.iter().map(|entry| (&entry.path, entry.offset, entry.size, entry.crc32));
        assert!(bare.eq(read), "seed {seed}");
        std::fs::write(path, &blob).unwrap();
        judge("gzip", &["--test", path]);
        judge("tar", &["--list", "--gzip", "--file", path]);
        let script = "
import sys, tarfile, zlib
with tarfile.open(sys.argv[1], 'r:gz') as tar:
    for m in tar:
        content = tar.extractfile(m).read() if m.isfile() else b''
        print(m.name, oct(m.mode), m.size, zlib.crc32(content))
";
        if let Some(told) = judge("python3", &["-c", script, path]) {
            let (first, rest) = told.split_once('\n').unwrap();
            assert!(first.starts_with(".no.prefetch.landmark 0o644 1 "), "{first}");
            let expected: String = calls.iter().map(listed).collect();
            let rest = rest.strip_prefix(expected.as_str()).expect("the entries follow");
            assert!(rest.starts_with("stargz.index.json 0o644 ") && rest.lines().count() == 1, "{rest}");
        }
    }
}

/// A layer of every kind of content that eStargz treats differently.
fn estargz_calls() -> Vec<Call> {
    let mut calls = random_calls(17);
    let record = text(40_000);
    let Call::Deflated(mut appended, content, stream, _) = deflated("d/RECORD", record) else { unreachable!() };
    appended.size += 9;
    calls.extend([
        Call::Deflated(appended, content, stream, b"INSTALLER".to_vec()),
        deflated("d/huge.so", text(33 << 20)),
        deflated("d/large.so", text(6 << 20)),
        Call::File(entry("d/chunks", Kind::File, 0o755, 9 << 20), text(9 << 20)),
        Call::File(entry("d/one chunk", Kind::File, 0o755, 4 << 20), text(4 << 20)),
        Call::Bare(entry("d/link", Kind::Symlink("one chunk".to_owned()), 0o777, 0)),
    ]);
    calls
}

#[test]
fn a_snapshotter_reads_every_chunk_of_estargz() {
    let Some(program) = xtask::peers::need("estargz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar.gz");
    let calls = estargz_calls();
    let (blob, written) = write(&calls, Compression::Estargz);
    std::fs::write(&path, &blob).unwrap();
    let annotations = written.annotations();
    assert_eq!(annotations["io.containers.estargz.uncompressed-size"], written.tar_size.to_string());
    let table = &annotations["containerd.io/snapshot/stargz/toc.digest"];
    let program = program.to_str().unwrap();
    let told = judge(program, &[path.to_str().unwrap(), table]).expect("the peer is here");
    let mut expected: Vec<String> = calls.iter().map(as_snapshotter).collect();
    let mut told: Vec<String> = told.lines().map(str::to_owned).collect();
    let implied = |line: &String| line.starts_with("dir ") && !expected.contains(line);
    told.retain(|line| !line.contains(".no.prefetch.landmark") && !implied(line));
    expected.sort();
    told.sort();
    assert_eq!(told, expected);

    // The same blob with one bit of a file bent is refused: the judge does judge.
    let mut bent = blob.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    std::fs::write(&path, &bent).unwrap();
    let refused = std::process::Command::new(program).arg(&path).arg(table).output().unwrap();
    assert!(!refused.status.success());
}

fn as_snapshotter(call: &Call) -> String {
    let (entry, content) = match call {
        Call::Bare(entry) => (entry, Vec::new()),
        Call::File(entry, content) => (entry, content.clone()),
        Call::Deflated(entry, content, _, suffix) => (entry, [content.as_slice(), suffix].concat()),
    };
    let (kind, target, digest) = match &entry.kind {
        Kind::Directory => ("dir", String::new(), String::new()),
        Kind::Symlink(target) => ("symlink", target.clone(), String::new()),
        _ => ("reg", String::new(), Digest::of(&content).to_string()),
    };
    format!("{kind} {} {:o} {} {target} {digest}", entry.path, entry.mode, entry.size)
}

#[test]
fn streams_stay_as_they_are_in_estargz_unless_they_are_huge() {
    let call = deflated("d/large.so", text(31 << 20));
    let Call::Deflated(_, content, stream, _) = call.clone() else { unreachable!() };
    let (blob, _) = write(&[call], Compression::Estargz);
    let all_but_last = &stream[..stream.len() - 1];
    assert!(memchr::memmem::find(&blob, all_but_last).is_some());
    let first = memchr::memmem::find(&blob, all_but_last).unwrap();
    assert_eq!(blob[first - 10..first - 7], [0x1f, 0x8b, 8], "a gzip member begins with it");
    let mut read = Vec::new();
    flate2::bufread::GzDecoder::new(&blob[first - 10..]).read_to_end(&mut read).unwrap();
    assert!(read == content);
}

#[test]
fn other_registries_clients_read_every_compression() {
    let folder = tempfile::tempdir().unwrap();
    let crane = xtask::peers::need("crane");
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Estargz] {
        let layout = folder.path().join(format!("{compression:?}").to_lowercase());
        let calls = random_calls(5);
        let blob = write_layout(&layout, &calls, compression);
        let shown = layout.to_str().unwrap();
        if let (Some(crane), true) = (&crane, compression != Compression::Zstd) {
            // It computes diff ids and digests by its own readers.
            let image = folder.path().join("image.tar");
            let (blob, image) = (blob.to_str().unwrap(), image.to_str().unwrap());
            let crane = crane.to_str().unwrap();
            crane_does(
                crane,
                &["append", "--oci-empty-base", "--new_layer", blob, "--new_tag", "t/t", "--output", image],
            );
            crane_does(crane, &["validate", "--tarball", image]);
        }
        // Decompressed by skopeo, a layer has the name of its diff id.
        let copy = folder.path().join(format!("{compression:?}-copy"));
        let (from, to) = (format!("oci:{shown}:test"), format!("dir:{}", copy.display()));
        if judge("skopeo", &["copy", "--quiet", "--dest-decompress", &from, &to]).is_some() {
            let diff_id = write(&calls, compression).1.diff_id.0.to_string();
            assert!(copy.join(diff_id.strip_prefix("sha256:").unwrap()).is_file(), "{compression:?}");
        }
        let unpacked = folder.path().join(format!("{compression:?}-unpacked"));
        let arguments = ["unpack", "--rootless", "--image", &format!("{shown}:test"), unpacked.to_str().unwrap()];
        if compression == Compression::Zstd || judge("umoci", &arguments).is_none() {
            continue;
        }
        for call in &calls {
            let (entry, content) = match call {
                Call::Bare(_) => continue,
                Call::File(entry, content) => (entry, content.clone()),
                Call::Deflated(entry, content, _, suffix) => (entry, [content.as_slice(), suffix].concat()),
            };
            let found = std::fs::read(unpacked.join("rootfs").join(entry.path.to_string())).unwrap();
            assert!(found == content, "{compression:?}: {}", entry.path);
        }
    }
}

/// A run of crane, which talks on standard error.
fn crane_does(crane: &str, arguments: &[&str]) {
    let output = std::process::Command::new(crane).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes an image of one layer; gives the layer's blob in it.
fn write_layout(folder: &Path, calls: &[Call], compression: Compression) -> PathBuf {
    let (blob, written) = write(calls, compression);
    let media_type = compression.media_type();
    let mut layer = Descriptor::of(&media_type.0, &blob);
    layer.annotations = written.annotations();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        written.diff_id.0
    );
    let config_descriptor = Descriptor::of(MediaType::CONFIG, config.as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::MANIFEST, "config": config_descriptor, "layers": [layer],
    })
    .to_string();
    let mut manifest_descriptor = Descriptor::of(MediaType::MANIFEST, manifest.as_bytes());
    manifest_descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), "test".into());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest_descriptor] }).to_string();
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for bytes in [blob.as_slice(), config.as_bytes(), manifest.as_bytes()] {
        let digest = Digest::of(bytes).to_string();
        std::fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), bytes).unwrap();
    }
    std::fs::write(folder.join("index.json"), index).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    blobs.join(Digest::of(&blob).to_string().strip_prefix("sha256:").unwrap())
}

/// Reads a zstd layer to its end, as the store does; bytes and the digest of them.
fn read_zstd(blob: &[u8]) -> io::Result<(u64, Digest)> {
    let mut reader = gzip::reader(&MediaType::LAYER_ZSTD.into(), blob)?;
    let (mut digester, mut size, mut buffer) = (Digester::new(), 0, vec![0; 1 << 16]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok((size, digester.finish())),
            count => {
                digester.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

#[test]
fn zstd_layers_are_read_to_the_last_frame_or_refused() {
    let content = text(9_000_000);
    let calls = [Call::File(entry("f", Kind::File, 0o644, content.len()), content)];
    let (blob, written): (Vec<u8>, Written) = write(&calls, Compression::Zstd);
    assert_eq!(read_zstd(&blob).unwrap(), (written.tar_size, written.diff_id.0));
    // Cut off: inside the first frame, one byte before its end, inside the last; never at the end of a frame, which
    // is a shorter layer (its digest tells).
    let mut random = Random::new(4);
    for _ in 0..40 {
        let end = 1 + random.below(blob.len() - 1);
        let whole_frames = |read: (u64, Digest)| matches!(read.0, 0x0040_0000 | 0x0080_0000);
        assert!(read_zstd(&blob[..end]).map_or(true, whole_frames), "cut at {end}");
    }
    // Every frame has a checksum, so a changed byte shows.
    for _ in 0..40 {
        let mut bent = blob.clone();
        let at = random.below(blob.len());
        bent[at] ^= 1 << random.below(8);
        assert!(read_zstd(&bent).is_err(), "changed at {at}");
    }
    assert!(read_zstd(&[blob.as_slice(), b"trailer"].concat()).is_err());
    assert!(read_zstd(&[]).is_err(), "nothing at all is no frame");
    // Skippable frames hold no content; zstd:chunked keeps its table there (RFC 8878, 3.1.2).
    let skippable = [[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0].as_slice(), b"abc"].concat();
    assert_eq!(read_zstd(&[blob.as_slice(), &skippable].concat()).unwrap().0, written.tar_size);
}

#[test]
fn a14_hostile_zstd_is_refused_in_bounded_memory() {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let frame = |header: &[u8], blocks: &[u8]| [magic.as_slice(), header, blocks].concat();
    let run = |size: u32, last: u32| ((size << 3) | (1 << 1) | last).to_le_bytes()[..3].to_vec();
    // One window of 2^31 bytes; content of 2^60 bytes in a single segment; a dictionary that nobody has; a reserved bit;
    // a reserved block; a block of more than 128 KiB; the format of zstd 0.7; a skippable frame that goes on for ever.
    let hostile = [
        frame(&[0x00, (31 - 10) << 3], &[1, 0, 0]),
        frame(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10], &[1, 0, 0]),
        frame(&[0x21, 7, 0], &[1, 0, 0]),
        frame(&[0x28, 0], &[1, 0, 0]),
        frame(&[0x20, 5], &[0x07, 0, 0]),
        frame(&[0x00, 0x58], &[run(1 << 20, 1), vec![b'x']].concat()),
        [[0x27, 0xb5, 0x2f, 0xfd].as_slice(), &[0x20, 0, 1, 0, 0]].concat(),
        vec![0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0],
        // Content longer, and shorter, than its frame says.
        frame(&[0x20, 5], &[run(6, 1), vec![b'x']].concat()),
        frame(&[0x20, 5], &[run(4, 1), vec![b'x']].concat()),
    ];
    for blob in hostile {
        assert!(read_zstd(&blob).is_err(), "{}", blob.escape_ascii());
    }
    // 128 MiB is the largest window that is taken; a bomb in it is given out piece by piece.
    let mut bomb = frame(&[0x00, (27 - 10) << 3], &[]);
    for number in 0..6_000 {
        bomb.extend(run(128 << 10, u32::from(number == 5_999)));
        bomb.push(b'x');
    }
    assert_eq!(read_zstd(&bomb).unwrap().0, 6_000 * (128 << 10));
    let peak = peak_memory();
    assert!(peak.is_none_or(|peak| peak < 500_000), "peak of the whole test binary: {peak:?} kB");
}

#[test]
fn compression_of_nothing_is_still_a_layer() {
    for compression in EVERY {
        let (blob, written) = write(&[], compression);
        let mut tar = Vec::new();
        gzip::reader(&compression.media_type(), blob.as_slice()).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!(written.diff_id.0, Digest::of(&tar), "{compression:?}");
        if compression == Compression::Gzip {
            gunzip(&blob);
        }
    }
}
