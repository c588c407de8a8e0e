//! The registry as clients meet it: over sockets, byte by byte.
//!
//! | module | what |
//! |---|---|
//! | `endpoints` | the table of the distribution specification, `end_1` … `end_13` |
//! | `attacks`, `connections` | hostile clients, named after their recipes |
//! | `store` | what the store and the registry see of each other |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attacks;
mod connections;
mod endpoints;
mod store;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use corten_oci::{Digest, MediaType};
use corten_serve::{Asked, Options, Server, Stopper};
use corten_store::Store;
use corten_testkit::client::{self, Got};
use serde_json::json;

/// A registry on a free port, with a store of its own.
pub(crate) struct Served {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) place: String,
    pub(crate) log: Arc<Mutex<Vec<Asked>>>,
    /// What it does each minute.
    pub(crate) tidy: Box<dyn Fn()>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn new(change: impl FnOnce(&mut Options)) -> Self {
        Self::of(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    pub(crate) fn of(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Options)) -> Self {
        Self::of_then(folder, SystemTime::now(), change)
    }

    /// At a time.
    pub(crate) fn of_then(folder: Arc<tempfile::TempDir>, now: SystemTime, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options();
        change(&mut options);
        let log = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&log);
        let log_request = Box::new(move |asked: &Asked| told.lock().unwrap().push(asked.clone()));
        let root = folder.path().to_owned();
        let server =
            Server::bind(Box::new(move || Ok(Store::open(&root)?.marking(now))), options, log_request).unwrap();
        let (place, stopper) = (server.address().to_string(), server.stopper());
        let tidy = Box::new(server.tidier());
        let thread = Some(std::thread::spawn(move || server.run()));
        Self { folder, place, log, tidy, stopper, thread }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.folder.path()).unwrap()
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stopper.stop();
    }

    /// Stops it, and waits until it has.
    pub(crate) fn stop(self) {}

    pub(crate) fn ask(&self, method: &str, target: &str) -> Got {
        self.send(method, target, &[], b"")
    }

    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        client::ask(&self.place, method, target, headers, body)
    }

    pub(crate) fn begin(&self, repository: &str) -> String {
        let got = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"));
        assert_eq!(got.status, 202, "{got:?}");
        got.header("location").unwrap().to_owned()
    }

    pub(crate) fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let got = self.send("PUT", &format!("{}?digest={digest}", self.begin(repository)), &[], bytes);
        assert_eq!(got.status, 201, "{got:?}");
        digest
    }

    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, bytes: &[u8]) -> Got {
        let headers = [("content-type", MediaType::MANIFEST)];
        self.send("PUT", &format!("/v2/{repository}/manifests/{tag}"), &headers, bytes)
    }

    /// An image of one layer, pushed: its manifest's digest.
    pub(crate) fn push(&self, name: &str, layer: &[u8]) -> Digest {
        let (repository, tag) = name.split_once(':').unwrap();
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(layer)]}});
        let config = config.to_string().into_bytes();
        self.push_blob(repository, layer);
        self.push_blob(repository, &config);
        let manifest = manifest(&config, layer);
        assert_eq!(self.put_manifest(repository, tag, &manifest).status, 201);
        Digest::of(manifest)
    }

    /// No bytes are left of uploads that came to nothing.
    #[track_caller]
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(scratch_files(self.folder.path()), Vec::<String>::new());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

/// An image of one layer.
pub(crate) fn manifest(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let described = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::MANIFEST,
        "config": described(MediaType::CONFIG, config), "layers": [described(MediaType::LAYER, layer)],
    });
    manifest.to_string().into_bytes()
}

/// What lies in a store's folder for things that have no name yet.
pub(crate) fn scratch_files(store: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for folder in std::fs::read_dir(store.join("tmp")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(files) = std::fs::read_dir(&folder) else { continue };
        left.extend(files.map(|file| file.unwrap().path().display().to_string()));
    }
    left
}

/// `base64` of credentials.
pub(crate) fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("Basic ");
    for part in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits = part.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            let _ = write!(text, "{}", if at > part.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

pub(crate) fn options() -> Options {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options {
        listen,
        users: None,
        tls: None,
        access: Default::default(),
        exposed: Default::default(),
        limits: Default::default(),
    }
}
