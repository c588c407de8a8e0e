//! Times and extended attributes of single entries: what Python's `tarfile` reads of them, and what our reader refuses.

use std::collections::BTreeMap;

use corten_layer::attributes::Attributes;
use corten_layer::tar::TarReader;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::Kind;

use crate::support::{entry, judge};

fn attributes(mtime: i64, xattrs: &[(&str, &[u8])]) -> Attributes {
    let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    Attributes { mtime, xattrs: xattrs.collect() }
}

fn sample() -> Vec<(&'static str, Attributes)> {
    vec![
        ("usual", attributes(1_700_000_000, &[])),
        ("early", attributes(-5, &[])),
        ("late", attributes(1 << 33, &[])),
        ("marked", attributes(7, &[("user.b", b"x\0\n=y"), ("security.capability", b"\x01\0\0\x02"), ("user.a", b"")])),
    ]
}

fn tar(entries: &[(&'static str, Attributes)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, 0);
    for (name, attributes) in entries {
        writer.with(entry(name, Kind::File, 0o644, 3), attributes, &mut &b"abc"[..]).unwrap();
    }
    writer.finish().unwrap().0
}

#[test]
fn times_and_attributes_are_read_again() {
    let bytes = tar(&sample());
    let mut reader = TarReader::new(bytes.as_slice());
    for (name, attributes) in sample() {
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!((entry.path.to_string().as_str(), reader.attributes()), (name, &attributes));
    }
}

#[test]
fn python_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar");
    std::fs::write(&path, tar(&sample())).unwrap();
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    xattrs = [(k[13:], v.encode('utf-8', 'surrogateescape')) for k, v in m.pax_headers.items() if k.startswith('SCHILY.')]
    print(m.name, int(m.mtime), xattrs)
";
    let expected = "usual 1700000000 []
early -5 []
late 8589934592 []
marked 7 [('security.capability', b'\\x01\\x00\\x00\\x02'), ('user.a', b''), ('user.b', b'x\\x00\\n=y')]
";
    let told = judge("python3", &["-c", script, path.to_str().unwrap()]);
    assert!(told.as_ref().is_none_or(|told| told == expected), "{}", told.unwrap_or_default());
}

#[test]
fn a15_attributes_without_end_are_refused_by_writer_and_reader() {
    let many: BTreeMap<_, _> = (0..257).map(|number| (format!("user.{number}").into_bytes(), Vec::new())).collect();
    let large = attributes(0, &[("user.large", &[0; (64 << 10) + 1])]);
    let odd = attributes(0, &[("user.a=b", b"")]);
    for attributes in [Attributes { mtime: 0, xattrs: many }, large, odd] {
        let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, 0);
        let error = writer.with(entry("f", Kind::File, 0o644, 0), &attributes, &mut &b""[..]).unwrap_err();
        assert!(error.to_string().starts_with("cannot write 'f' to a layer: "), "{error}");
    }
    let record = |name: &str, value: &str| {
        let body = name.len() + value.len() + 16;
        let length = (body..).find(|length| *length == body + length.to_string().len()).unwrap();
        format!("{length} SCHILY.xattr.{name}={value}\n")
    };
    let hostile = [
        (
            "an entry has more than 256",
            (0..300).map(|number| record(&format!("user.{number}"), "")).collect::<String>(),
        ),
        ("over the limit of 64 KiB", record("user.large", &"x".repeat(70_000))),
        ("stands twice", record("user.a", "1") + &record("user.a", "2")),
        ("has 0 bytes", record("", "1")),
    ];
    for (reason, records) in hostile {
        let mut reader = TarReader::new(std::io::Cursor::new(with_pax(&records)));
        let error = reader.next_entry().unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

/// An archive with one empty file behind a PAX header.
fn with_pax(records: &str) -> Vec<u8> {
    let header = |name: &str, kind: u8, size: usize| {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[148..156].fill(b' ');
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    };
    let mut tar = header("pax", b'x', records.len()).to_vec();
    tar.extend_from_slice(records.as_bytes());
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend_from_slice(&header("f", b'0', 0));
    tar.resize(tar.len() + 1024, 0);
    tar
}
