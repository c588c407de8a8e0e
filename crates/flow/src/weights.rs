//! Weights: those that are fetched from an address, and those that run code when they are loaded.
//!
//! ```text
//! weights = [{ url, sha256?, to }] ─► digest: the settings', corten.lock's, else that of a first fetch ─► one more file
//!                                     of the layer of weights, read from the store
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use corten_diagnostic::{Failure, Report};
use corten_frontend::settings::{RemoteWeight, Setting};
use corten_oci::Digest;
use corten_plan::{FetchedFile, LockedWeight, SourceFile};

use crate::project::Project;
use crate::remote;
use crate::world::World;

/// Weights that are fetched, pinned.
#[derive(Default)]
pub struct Remote {
    /// As the image has them; their bytes are those of the store's blob.
    pub files: Vec<SourceFile>,
    /// Where they come from.
    pub fetched: Vec<FetchedFile>,
    /// As corten.lock has them.
    pub locked: Vec<LockedWeight>,
}

/// Pins the project's weights that have an address. `renew`: what corten.lock has does not count.
///
/// # Errors
/// World where an address cannot be reached; usage where two weights would have one place.
pub fn remote(project: &Project, local: &[SourceFile], renew: bool, world: &World<'_>) -> Result<Remote, Report> {
    let mut remote = Remote::default();
    for weight in &project.settings.remote_weights {
        let path = path(project, &weight.value.to);
        if local.iter().chain(&remote.files).any(|file| file.path == path) {
            return Err(twice(weight, &path).into());
        }
        let locked = pin(project, &weight.value, renew, world)?;
        let (digest, size) = (locked.digest, locked.size);
        let source = world.store.blob_path(&digest);
        remote.files.push(SourceFile { path: path.clone(), source, mode: 0o644, size, digest, link: None });
        remote.fetched.push(FetchedFile { path, url: remote::mirrored(project, &weight.value.url), digest, size });
        remote.locked.push(locked);
    }
    remote.locked.sort();
    remote.locked.dedup();
    Ok(remote)
}

/// Below the image's root.
fn path(project: &Project, to: &str) -> String {
    match to.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{}/{to}", project.settings.workdir.value.trim_matches('/')).trim_matches('/').to_owned(),
    }
}

fn pin(project: &Project, weight: &RemoteWeight, renew: bool, world: &World<'_>) -> Result<LockedWeight, Report> {
    let known = project.corten_lock.iter().flat_map(|lock| &lock.weights);
    let known = known
        .filter(|_| !renew)
        .find(|known| known.url == weight.url && weight.sha256.is_none_or(|digest| digest == known.digest));
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let url = remote::mirrored(project, &weight.url);
    let (digest, size) = match weight.sha256 {
        Some(digest) => (digest, remote::size(&url, digest, &weight.to, world)?),
        None => {
            let (digest, size) = remote::first_fetch(&url, world)?;
            let text = format!(
                "{} has no sha256 in the settings; that of its first fetch is recorded in corten.lock",
                weight.to
            );
            world.events.warning(&text);
            (digest, size)
        }
    };
    Ok(LockedWeight { url: weight.url.clone(), digest, size })
}

fn twice(weight: &Setting<RemoteWeight>, path: &str) -> Failure {
    let failure = Failure::usage(format!("two files of weights would become /{path} in the image"))
        .hint("give one of them another 'to', or leave one out");
    match &weight.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}

/// What differs in corten.lock, one line each.
pub fn changes(found: &[LockedWeight], wanted: &[LockedWeight]) -> Vec<String> {
    let digests = |weights: &[LockedWeight]| -> BTreeMap<String, Digest> {
        weights.iter().map(|weight| (weight.url.clone(), weight.digest)).collect()
    };
    let (old, new) = (digests(found), digests(wanted));
    let mut changes: Vec<String> = new
        .iter()
        .filter(|(url, digest)| old.get(*url) != Some(digest))
        .map(|(url, digest)| format!("weights {url} are {digest}"))
        .collect();
    changes.extend(old.keys().filter(|url| !new.contains_key(*url)).map(|url| format!("weights {url} go")));
    changes
}

/// Endings of models' files, as their frameworks write them.
const MODELS: [&str; 16] = [
    "safetensors",
    "gguf",
    "onnx",
    "pt",
    "pth",
    "ckpt",
    "h5",
    "keras",
    "tflite",
    "joblib",
    "pkl",
    "pickle",
    "npz",
    "pb",
    "mlmodel",
    "bin",
];
/// Bytes; smaller ones do not weigh.
const SMALL: u64 = 100_000;

/// Does it look like the file of a model?
pub fn is_model(file: &SourceFile) -> bool {
    is_named_as_model(&file.path, file.size)
}

/// The same by name and size.
pub fn is_named_as_model(path: &str, size: u64) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    size >= SMALL && extension.is_some_and(|extension| MODELS.contains(&extension.as_str()))
}

/// How much of a file is looked at: the first member of a checkpoint's ZIP is its pickle.
const HEAD: u64 = 4096;

/// Names that stand for a pickle.
const PICKLES: [&str; 4] = ["pkl", "pickle", "joblib", "dill"];
/// Names that stand for a pickle, a ZIP with a pickle in it, or something else.
const PERHAPS: [&str; 4] = ["pt", "pth", "bin", "ckpt"];

/// Does loading the file as its framework does run code that it brings along?
///
/// By its name; where that may also stand for something else, by its first bytes: a pickle (protocol 2 and later), or a
/// ZIP with a pickle, as `torch.save` writes them.
pub fn runs_code(file: &SourceFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    match file.link {
        Some(_) => false,
        None if PICKLES.contains(&extension) => true,
        None if PERHAPS.contains(&extension) => head(file).is_some_and(|head| is_pickle(&head)),
        None => false,
    }
}

/// None where it cannot be read: weights whose layer was made long ago need not be in the store any more.
fn head(file: &SourceFile) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(&file.source).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    Some(head)
}

fn is_pickle(head: &[u8]) -> bool {
    let plain = matches!(head, [0x80, 2..=5, ..]);
    let within = |name: &[u8]| head.windows(name.len()).any(|found| found == name);
    plain || (head.starts_with(b"PK\x03\x04") && within(b"data.pkl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, bytes: &[u8]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("file");
        std::fs::write(&source, bytes).unwrap();
        let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
        runs_code(&SourceFile { path: format!("app/{name}"), source, mode: 0o644, size, digest, link: None })
    }

    /// The first bytes are those that CPython 3.11's pickle, torch 2.5 and safetensors 0.4 write.
    #[test]
    fn pickles_are_known_by_name_or_by_their_first_bytes() {
        let checkpoint = b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x12\x00archive/data.pklFB";
        let archive = b"PK\x03\x04\x14\x00\x00\x00\x00\x00model/weights.npy";
        assert!(code("a.pkl", b"") && code("A.PICKLE", b"") && code("model.joblib", b"x\x9c"));
        for name in ["m.pt", "m.pth", "pytorch_model.bin", "last.ckpt"] {
            assert!(code(name, b"\x80\x04\x95\x0b\0\0\0\0\0\0\0"), "{name}");
            assert!(
                code(name, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M"),
                "the form before torch 1.6: {name}"
            );
            assert!(code(name, checkpoint), "{name}");
            assert!(!code(name, archive) && !code(name, b"") && !code(name, b"GGUF\x03\0\0\0"), "{name}");
        }
        assert!(!code("m.safetensors", b"\x80\x04\x95") && !code("m.onnx", checkpoint) && !code("bin", b"\x80\x04"));
    }

    #[test]
    fn what_changes_is_told_by_address() {
        let weight = |url: &str, text: &str| LockedWeight { url: url.into(), digest: Digest::of(text), size: 1 };
        let (old, new) = ([weight("a", "1"), weight("b", "1"), weight("c", "1")], [weight("a", "1"), weight("b", "2")]);
        let second = Digest::of("2");
        assert_eq!(changes(&old, &new), [format!("weights b are {second}"), "weights c go".to_owned()]);
        assert_eq!(changes(&new, &new), [] as [String; 0]);
    }
}
