//! Images made of nothing, and a way to run a piece of this test in another process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corten_diagnostic::Nobody;
use corten_oci::{Descriptor, DiffId, Digest, Entry, Kind, LayerIndex, LayerPath, MediaType, Reference};
use corten_store::{Batch, Store};

/// A folder in memory where there is one: a process that is killed does not take the page cache along, so nothing is
/// tested less, and nobody waits for a disk.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Bytes that look like nothing and are the same for the same seed (xorshift).
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn index(files: usize) -> LayerIndex {
    let entry = |number| Entry {
        path: LayerPath::new(format!("app/{number}")).unwrap(),
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        crc32: None,
        offset: 0,
        package: None,
    };
    LayerIndex { entries: (0..files).map(entry).collect() }
}

/// Puts an image of these layers into a batch, without a name: its manifest.
pub fn stage(batch: &Batch<'_>, layers: &[Vec<u8>]) -> Descriptor {
    let mut described = Vec::new();
    let mut diff_ids = Vec::new();
    for layer in layers {
        let mut writer = batch.blob().unwrap();
        layer.chunks(10_000).for_each(|chunk| writer.write_all(chunk).unwrap());
        let (digest, size) = writer.finish().unwrap();
        described.push(Descriptor::new(MediaType::LAYER_GZIP, digest, size));
        let diff_id = DiffId(Digest::of([layer.as_slice(), b"tar"].concat()));
        batch.layer_index(&diff_id, &index(layer.len() % 50)).unwrap();
        diff_ids.push(format!("\"{diff_id}\""));
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Healthcheck":{{"Test":["CMD","x"]}}}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let config = (batch.put(config.as_bytes()).unwrap(), config.len() as u64);
    let manifest = corten_oci::Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::new(MediaType::CONFIG, config.0, config.1),
        layers: described,
        subject: None,
        annotations: [].into(),
    };
    let bytes = to_json(&manifest);
    batch.put(&bytes).unwrap();
    Descriptor::of(MediaType::MANIFEST, &bytes)
}

pub fn to_json(manifest: &corten_oci::Manifest) -> Vec<u8> {
    serde_json::to_vec(manifest).unwrap()
}

/// Puts an artifact about `subject` into a batch.
pub fn stage_referrer(batch: &Batch<'_>, subject: &Descriptor, content: &[u8]) -> Descriptor {
    let manifest = corten_oci::Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: Some("application/spdx+json".into()),
        config: Descriptor::of(MediaType::EMPTY, b"{}"),
        layers: vec![Descriptor::of("application/spdx+json", content)],
        subject: Some(subject.clone()),
        annotations: [].into(),
    };
    batch.put(b"{}").unwrap();
    batch.put(content).unwrap();
    let bytes = to_json(&manifest);
    batch.put(&bytes).unwrap();
    let mut descriptor = Descriptor::of(MediaType::MANIFEST, &bytes);
    descriptor.artifact_type = Some("application/spdx+json".into());
    batch.referrer(&subject.digest, &descriptor).unwrap();
    descriptor
}

/// A store with one image of two layers, a bill of materials, and a record.
pub fn filled(root: &Path, name: &str) -> (Store, Digest) {
    let store = Store::open(root).unwrap();
    let batch = store.batch();
    let manifest = stage(&batch, &[noise(1, 300_000), noise(2, 700)]);
    batch.image(&reference(name), &manifest.digest).unwrap();
    stage_referrer(&batch, &manifest, b"{\"spdxVersion\":\"SPDX-2.3\"}");
    batch.record(&corten_store::Key(Digest::of("key")), b"value").unwrap();
    batch.finish().unwrap();
    (store, manifest.digest)
}

pub fn assert_clean(store: &Store) {
    assert_eq!(store.verify(&Nobody).unwrap(), []);
}

/// Every file below a folder with its inode, time and bytes, sorted; but a store's version and its leases.
pub fn snapshot(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let found = entry.metadata().unwrap();
                    let bytes = std::fs::read(entry.path()).unwrap();
                    files.push((entry.path(), found.ino(), found.modified().unwrap(), bytes));
                }
            }
        }
    }
    files.retain(|(path, ..)| !path.ends_with("format") && !path.parent().is_some_and(|it| it.ends_with("leases")));
    files.sort();
    files
}

/// Runs the test function `name` of this program in a process of its own; there, [`asked`] gives `question`.
pub fn child(name: &str, question: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("CORTEN_STORE_CHILD", question);
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// In a process that [`child`] began: the question. In the test run itself: none.
pub fn asked() -> Option<PathBuf> {
    std::env::var_os("CORTEN_STORE_CHILD").map(PathBuf::from)
}

/// Counts a test that could not run here; in continuous integration that is a failure.
pub fn not_run(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    println!("not run: {reason}");
}
