//! A folder of files in memory, served as a Debian archive (or anything else static) would be, with faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::gate::Gate;
use crate::http::{Answer, Asked, Server};

/// What goes wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after this many bytes, every time.
    Truncated(usize),
    /// The connection breaks after this many bytes, the first time only.
    TruncatedOnce(usize),
    /// One byte of the content differs.
    WrongBytes,
    /// This status, the given number of times; then all is well.
    Refused(u16, u32),
    /// Ranges are not granted: the whole file comes.
    NoRanges,
}

#[derive(Default)]
struct Files {
    content: BTreeMap<String, (Vec<u8>, String)>,
    faults: BTreeMap<String, Fault>,
    /// The `Authorization` that every request must have.
    demanded: Option<String>,
    gates: BTreeMap<String, Gate>,
}

/// Files by path, served.
pub struct FileServer {
    server: Server,
    files: Arc<Mutex<Files>>,
}

impl FileServer {
    /// Without files.
    pub fn start() -> Self {
        let files = Arc::new(Mutex::new(Files::default()));
        let own = Arc::clone(&files);
        let server = Server::start(move |asked| {
            let gate = own.lock().unwrap().gates.get(&asked.path).cloned();
            gate.iter().for_each(Gate::wait);
            answer(&mut own.lock().unwrap(), asked)
        });
        Self { server, files }
    }

    /// All files of a folder, by their path below it.
    pub fn of_folder(folder: &std::path::Path) -> Self {
        let server = Self::start();
        let mut waiting = vec![folder.to_owned()];
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(&next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    server.put(&format!("/{name}"), std::fs::read(&path).unwrap());
                }
            }
        }
        server
    }

    /// Adds or replaces a file.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.put_as(path, content, "application/octet-stream");
    }

    /// Adds or replaces a file of a type.
    pub fn put_as(&self, path: &str, content: impl Into<Vec<u8>>, kind: &str) {
        self.files.lock().unwrap().content.insert(path.to_owned(), (content.into(), kind.to_owned()));
    }

    /// A file's bytes.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().content.get(path).map(|(bytes, _)| bytes.clone())
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.files.lock().unwrap().content.remove(path);
    }

    /// Lets something go wrong with a path.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.files.lock().unwrap().faults.insert(path.to_owned(), fault);
    }

    /// Answers nothing about a path until the gate is open.
    pub fn hold(&self, path: &str, gate: &Gate) {
        self.files.lock().unwrap().gates.insert(path.to_owned(), gate.clone());
    }

    /// From now on answers 401 unless a request has this user and password.
    pub fn demand(&self, user: &str, password: &str) {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.files.lock().unwrap().demanded = Some(format!("Basic {basic}"));
    }

    /// All is well again with every path.
    pub fn heal(&self) {
        self.files.lock().unwrap().faults.clear();
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// The server, for its log.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

fn answer(files: &mut Files, asked: &Asked) -> Answer {
    if files.demanded.is_some() && files.demanded.as_deref() != asked.header("authorization") {
        return Answer::status(401).header("WWW-Authenticate", "Basic realm=\"index\"");
    }
    let path = asked.path.split('?').next().unwrap_or_default();
    let Some((content, kind)) = files.content.get(path) else { return Answer::status(404) };
    let mut answer = Answer::ok(content.clone()).header("Content-Type", kind);
    match files.faults.get(path).copied() {
        None => {}
        Some(Fault::Truncated(bytes)) => answer = answer.cut(bytes),
        Some(Fault::TruncatedOnce(bytes)) => {
            files.faults.remove(path);
            answer = answer.cut(bytes);
        }
        Some(Fault::WrongBytes) => {
            if let Some(byte) = answer.body.last_mut() {
                *byte ^= 0xff;
            }
        }
        Some(Fault::Refused(_, 0)) => {}
        Some(Fault::Refused(status, left)) => {
            files.faults.insert(path.to_owned(), Fault::Refused(status, left - 1));
            answer = Answer::status(status);
        }
        Some(Fault::NoRanges) => answer = answer.without_ranges(),
    }
    answer
}
