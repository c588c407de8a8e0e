//! One gzip member that other tools read, the same for any number of threads and whatever is remembered.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use corten_oci::{Entry, LayerPath};

use super::*;
use crate::write::{Compression, LayerWriter};

/// Bytes that look like nothing, or like much of the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as u8
    };
    (0..length).map(|_| next() & 0x3f).collect()
}

/// A tar of files of these sizes, and what lies in it.
fn layer(files: &[(String, Vec<u8>)]) -> (Vec<u8>, LayerIndex) {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, 0);
    for (name, content) in files {
        let path = LayerPath::new(name).unwrap();
        let size = content.len() as u64;
        let (kind, mode) = (Kind::File, 0o644);
        let entry = Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None };
        writer.file(entry, &mut content.as_slice()).unwrap();
    }
    let (tar, written) = writer.finish().unwrap();
    (tar, written.index)
}

fn files() -> Vec<(String, Vec<u8>)> {
    let size = |number: u64| match number % 50 {
        0 => 2_500_000,
        7 => 1 << 20,
        other => (other as usize * 7919) % 200_000,
    };
    (0..150).map(|number| (format!("d/{number:03}"), noise(number, size(number)))).collect()
}

fn pack(tar: &[u8], index: &LayerIndex, memory: Arc<dyn Memory>, threads: usize) -> (Vec<u8>, Packed) {
    let mut blob = Vec::new();
    let cuts = cuts(index, tar.len() as u64);
    let threads = NonZeroUsize::new(threads).unwrap();
    let packed = gzip_with_threads(&mut &*tar, &cuts, memory, &mut blob, threads).unwrap();
    (blob, packed)
}

#[derive(Default)]
struct Remembers(Mutex<HashMap<Digest, Compressed>>);

impl Remembers {
    fn of(blob: &[u8], packed: &Packed) -> Self {
        let known = packed.pieces.iter().map(|piece| {
            let bytes = blob[piece.offset as usize..][..piece.length as usize].to_vec();
            assert_eq!(crc32fast::hash(&bytes), piece.crc32);
            (piece.content, Compressed { bytes, last: piece.last, used: piece.used.into() })
        });
        Self(Mutex::new(known.collect()))
    }
}

impl Memory for Remembers {
    fn piece(&self, content: &Digest, _size: usize) -> Option<Compressed> {
        self.0.lock().unwrap().get(content).cloned()
    }
}

fn gunzip(blob: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    // One member and nothing behind it.
    let mut reader = flate2::bufread::GzDecoder::new(blob);
    reader.read_to_end(&mut content).unwrap();
    assert!(reader.into_inner().is_empty());
    content
}

#[test]
fn one_member_holds_the_tar_whatever_the_number_of_threads() {
    let (tar, index) = layer(&files());
    let (blob, packed) = pack(&tar, &index, Arc::new(Forgetful), 1);
    assert!(gunzip(&blob) == tar);
    for threads in [2, 5] {
        assert!(pack(&tar, &index, Arc::new(Forgetful), threads) == (blob.clone(), packed.clone()));
    }
    let sizes: Vec<u64> = packed.pieces.iter().map(|piece| u64::from(piece.size)).collect();
    assert_eq!(sizes.iter().sum::<u64>(), tar.len() as u64);
    let mean = tar.len() / sizes.len();
    assert!((400_000..2_000_000).contains(&mean), "{mean} bytes on average");
    assert!(sizes.iter().all(|size| *size <= LARGEST + BLOCK + PIECE));
}

#[test]
fn one_changed_file_makes_few_new_pieces_and_the_same_bytes() {
    let (tar, index) = layer(&files());
    let (blob, packed) = pack(&tar, &index, Arc::new(Forgetful), 2);
    let memory = Arc::new(Remembers::of(&blob, &packed));
    let (again, all) = pack(&tar, &index, Arc::clone(&memory) as Arc<dyn Memory>, 2);
    assert!(again == blob && all.remembered == all.pieces.len());
    // Another content of the same size, a smaller file, and a new file in front of all: what lies behind stays.
    let mut changed = files();
    changed[70].1 = noise(9999, changed[70].1.len());
    changed[30].1.truncate(100);
    changed.insert(0, ("a".to_owned(), noise(1234, 3000)));
    let (tar, index) = layer(&changed);
    let (fresh, whole) = pack(&tar, &index, Arc::new(Forgetful), 2);
    let (quick, part) = pack(&tar, &index, memory, 2);
    assert!(quick == fresh, "what is remembered changes no byte");
    let new = whole.pieces.len() - part.remembered;
    assert!((1..=6).contains(&new), "{new} of {} pieces are new", whole.pieces.len());
}

#[test]
fn odd_tars_are_packed_too() {
    let (empty, index) = layer(&[]);
    assert!(gunzip(&pack(&empty, &index, Arc::new(Forgetful), 2).0) == empty);
    // An index that is another tar's, or nonsense, costs only size.
    let (tar, _) = layer(&files()[..3]);
    let mut nonsense = layer(&files()[3..9]).1;
    nonsense.entries[1].offset = u64::MAX - 5;
    nonsense.entries[0].size = u64::MAX;
    assert!(gunzip(&pack(&tar, &nonsense, Arc::new(Forgetful), 2).0) == tar);
    assert!(gunzip(&pack(&[0; 0], &index, Arc::new(Forgetful), 2).0).is_empty());
}

/// The bytes are a format: whoever changes them changes [`FORMAT`].
#[test]
fn the_bytes_are_those_of_this_version() {
    let (tar, index) = layer(&files());
    let (blob, _) = pack(&tar, &index, Arc::new(Forgetful), 2);
    assert_eq!(
        (FORMAT, Digest::of(blob).to_string().as_str()),
        ("gzip 3", "sha256:0301a792e3a027b8636e4f8d2953ffca6f30ec9fc86c308006a57d5ba8a79887")
    );
}
