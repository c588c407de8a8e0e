//! The registry as clients meet it: over sockets, byte by byte.
//!
//! | module | what |
//! |---|---|
//! | `endpoints` | the table of the distribution specification, `end_1` … `end_13` |
//! | `attacks` | hostile clients, named after their recipes |
//! | `store` | what the store and the registry see of each other |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod endpoints;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use corten_serve::{Asked, Options, Server, Stopper};
use corten_store::Store;

/// A registry on a free port, with a store of its own.
pub struct Served {
    pub folder: tempfile::TempDir,
    pub place: String,
    pub log: Arc<Mutex<Vec<Asked>>>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn new(change: impl FnOnce(&mut Options)) -> Self {
        Self::of(tempfile::tempdir().unwrap(), change)
    }

    pub fn of(folder: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options();
        change(&mut options);
        let log = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&log);
        let log_request = Box::new(move |asked: &Asked| told.lock().unwrap().push(asked.clone()));
        let server = Server::bind(Store::open(folder.path()).unwrap(), options, log_request).unwrap();
        let (place, stopper) = (server.address().to_string(), server.stopper());
        let thread = Some(std::thread::spawn(move || server.run()));
        Self { folder, place, log, stopper, thread }
    }

    pub fn store(&self) -> Store {
        Store::open(self.folder.path()).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

pub fn options() -> Options {
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
