//! Downloads into the store, checked by digest, resumable.
//!
//! ```text
//! store has it? ── yes ──► done
//!      │ no
//! partial file (locked) ──► Range from its end ──► hash while writing ──► size and digest right ──► a blob
//!                              │ 200 instead of 206, or 416: from the start
//!                              │ connection broke: go on from where it broke
//!                              └ other bytes: partial emptied, next address
//! ```
//!
//! What was put into the file is on its way to the disk while more comes, so that the sync at the end has little left. One
//! download alone is hashed on a thread of its own ([`hashing`]).

mod hashing;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use corten_diagnostic::{Diagnose, Event, Events, Fault, TaskId, Unit};
use corten_net::{Client, NetError, Request, Response, Url};
use corten_oci::Digest;
use corten_store::{Partial, Store, StoreError};

use self::hashing::Hashing;

/// No download is longer, whatever the server says: 64 GiB.
const LONGEST: u64 = 64 << 30;

/// Something to download, by content.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where it may be had, best first.
    pub urls: Vec<String>,
    /// SHA-256 of all its bytes.
    pub digest: Digest,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// For people: `numpy 2.4.6`.
    pub what: String,
}

/// Why a download did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network.
    #[error("downloading {what}: {source}")]
    Net {
        /// For people.
        what: String,
        /// What the network said.
        source: NetError,
    },
    /// The connection broke each time.
    #[error("downloading {what} from {url}: {why}, {got} bytes came")]
    Broken {
        /// For people.
        what: String,
        /// From where.
        url: String,
        /// What went wrong.
        why: String,
        /// How far it got.
        got: u64,
    },
    /// The server has other bytes than the lock says.
    #[error("downloading {what} from {url}: expected {expected}, got {got}")]
    Mismatch {
        /// For people.
        what: String,
        /// From where.
        url: String,
        /// Digest or size that was pinned.
        expected: String,
        /// What came.
        got: String,
    },
    /// There is no address to get it from.
    #[error("downloading {what}: no address is known, and {digest} is not in the store")]
    Nowhere {
        /// For people.
        what: String,
        /// What it should be.
        digest: Digest,
    },
    /// The disk, under a download.
    #[error("downloading {what}: {source}")]
    Disk {
        /// For people.
        what: String,
        /// Where, why, and how much is missing.
        source: StoreError,
    },
    /// Who was asked for it refuses.
    #[error("{0}")]
    Refused(Box<dyn Diagnose + Send + Sync>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for FetchError {
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net { source, .. } => source.hints(),
            Self::Broken { .. } => vec!["run again: what has come is kept, and the download goes on from there".to_owned()],
            Self::Mismatch { .. } => vec![
                "the file has changed since it was locked, or something on the way changes it; lock again only if you trust the new file"
                    .to_owned(),
            ],
            Self::Nowhere { .. } => vec!["lock again, so that its address is written down".to_owned()],
            Self::Disk { source, .. } => source.hints(),
            Self::Refused(source) => source.hints(),
            Self::Store(error) => error.hints(),
        }
    }
}

/// Puts the checked bytes into the store; nothing happens where they are there already.
pub fn fetch(client: &Client, store: &Store, download: &Download, events: &dyn Events) -> Result<(), FetchError> {
    fetch_until(client, store, download, events, &AtomicBool::new(false))
}

/// Several at a time, on at most `jobs` threads. The first error stops the others; what is complete stays in the store,
/// what is not goes on from there the next time.
pub fn fetch_all(
    client: &Client,
    store: &Store,
    downloads: &[Download],
    jobs: usize,
    events: &dyn Events,
) -> Result<(), FetchError> {
    let one = |download: &Download, stop: &AtomicBool| fetch_until(client, store, download, events, stop);
    each(downloads, jobs, &one)
}

/// As [`fetch_all`], from those who give bytes by content: `open` begins at a byte (206), or at the first (200). Of a
/// download's `urls`, it is given the number; the last one is who must have it, and whose error is told.
pub fn fetch_all_from(
    open: Open<'_>,
    retries: u32,
    store: &Store,
    downloads: &[Download],
    jobs: usize,
    events: &dyn Events,
) -> Result<(), FetchError> {
    let one = |download: &Download, stop: &AtomicBool| {
        let opens: Vec<_> =
            (0..download.urls.len()).map(|number| move |from: u64| open(number, download, from)).collect();
        let sources = download.urls.iter().zip(&opens).map(|(url, open)| Source { shown: url, open, retries });
        let how = How { told: Told::Last, is_alone: downloads.len() == 1 };
        transfer(store, download, &sources.collect::<Vec<_>>(), how, events, stop)
    };
    each(downloads, jobs, &one)
}

/// Begins a download at a byte.
pub type Open<'a> = &'a (dyn Fn(usize, &Download, u64) -> Result<Response, FetchError> + Sync);

/// On at most `jobs` threads. The first error stops the others.
fn each(
    downloads: &[Download],
    jobs: usize,
    one: &(dyn Fn(&Download, &AtomicBool) -> Result<(), FetchError> + Sync),
) -> Result<(), FetchError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed: Mutex<Option<(usize, FetchError)>> = Mutex::new(None);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(download) = downloads.get(number) else { return };
            if let Err(error) = one(download, &stop) {
                stop.store(true, Ordering::Relaxed);
                keep_first(&failed, number, error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, downloads.len().max(1)) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    failed.map_or(Ok(()), |(_, error)| Err(error))
}

/// Of errors that happen at the same time, the one of the first download is told: always the same.
fn keep_first(failed: &Mutex<Option<(usize, FetchError)>>, number: usize, error: FetchError) {
    let mut failed = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if failed.as_ref().is_none_or(|(known, _)| number < *known) {
        *failed = Some((number, error));
    }
}

fn fetch_until(
    client: &Client,
    store: &Store,
    download: &Download,
    events: &dyn Events,
    stop: &AtomicBool,
) -> Result<(), FetchError> {
    let send = |url: &str, from| {
        let request = Request { from, ..Request::get(url) };
        client.send(&request).map_err(|source| FetchError::Net { what: download.what.clone(), source })
    };
    let opens: Vec<_> = download.urls.iter().map(|url| move |from| send(url, from)).collect();
    let retries = client.settings().retries;
    let sources = download.urls.iter().zip(&opens).map(|(url, open)| Source { shown: url, open, retries });
    let how = How { told: Told::First, is_alone: false };
    transfer(store, download, &sources.collect::<Vec<_>>(), how, events, stop)
}

/// Of several who all fail, whose error is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    First,
    Last,
}

/// How it is gone about.
#[derive(Clone, Copy)]
struct How {
    told: Told,
    /// Nothing else is downloaded beside it.
    is_alone: bool,
}

/// One place to have the bytes from.
struct Source<'a> {
    /// For people; perhaps with a password.
    shown: &'a str,
    open: &'a dyn Fn(u64) -> Result<Response, FetchError>,
    /// How often it is gone on with after a break.
    retries: u32,
}

fn transfer(
    store: &Store,
    download: &Download,
    sources: &[Source<'_>],
    how: How,
    events: &dyn Events,
    stop: &AtomicBool,
) -> Result<(), FetchError> {
    // Whoever asks will read it without looking at its hash again.
    if store.is_whole(&download.digest)? {
        return Ok(());
    }
    let partial = store.partial(&download.digest)?;
    if store.size(&download.digest)?.is_some() {
        return Ok(store.discard(partial)?); // another process had the lock, and has finished
    }
    let progress = Progress::start(download, events);
    let mut transfer = Transfer { download, stop, progress, partial, hash: Hashing::new(how.is_alone), how };
    match transfer.try_each(sources, how.told) {
        Ok(true) => Ok(store.keep(transfer.partial, &download.digest)?),
        Ok(false) => Ok(()),
        Err(error) => {
            if transfer.length() == 0 {
                store.discard(transfer.partial)?; // nothing that another run could go on from
            }
            Err(error)
        }
    }
}

/// One task of the progress display. Bytes that come a second time are not shown twice.
struct Progress<'a> {
    events: &'a dyn Events,
    task: TaskId,
    shown: u64,
}

impl<'a> Progress<'a> {
    fn start(download: &Download, events: &'a dyn Events) -> Self {
        let task = TaskId::fresh();
        let what = format!("download {}", download.what);
        events.emit(Event::Started { task, what: &what, unit: Unit::Bytes, total: download.size });
        Self { events, task, shown: 0 }
    }

    fn reached(&mut self, length: u64) {
        if length > self.shown {
            self.events.emit(Event::Advanced { task: self.task, by: length - self.shown });
            self.shown = length;
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.events.emit(Event::Finished { task: self.task });
    }
}

/// A download under way. `hash` has taken in exactly the bytes that `partial` holds.
struct Transfer<'a> {
    download: &'a Download,
    stop: &'a AtomicBool,
    progress: Progress<'a>,
    partial: Partial,
    hash: Hashing,
    how: How,
}

/// How a try ended.
enum Ended {
    Complete,
    Stopped,
    /// The connection broke.
    Broken(String),
}

impl Transfer<'_> {
    /// Bytes that are in the file.
    fn length(&self) -> u64 {
        self.hash.length()
    }

    /// Tries one address after the other. `false`: stopped.
    fn try_each(&mut self, sources: &[Source<'_>], told: Told) -> Result<bool, FetchError> {
        self.take_in_partial()?;
        let mut failed = None;
        for source in sources {
            match self.try_one(source) {
                Ok(complete) => return Ok(complete),
                Err(error @ (FetchError::Disk { .. } | FetchError::Store(_))) => return Err(error),
                Err(error) if told == Told::Last => failed = Some(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Download { what, digest, .. } = self.download;
        Err(failed.unwrap_or_else(|| FetchError::Nowhere { what: what.clone(), digest: *digest }))
    }

    /// Goes on where the connection broke, as often as the client retries.
    fn try_one(&mut self, source: &Source<'_>) -> Result<bool, FetchError> {
        let (mut left, url) = (source.retries, source.shown);
        loop {
            let resumed = self.length() > 0;
            match self.once(source)? {
                Ended::Stopped => return Ok(false),
                Ended::Complete => match self.check(url) {
                    Ok(()) => return Ok(true),
                    // What lay there from an earlier time may be what is wrong: once more from the start.
                    Err(_) if resumed && left > 0 => self.restart()?,
                    Err(error) => {
                        self.restart()?;
                        return Err(error);
                    }
                },
                Ended::Broken(why) if left == 0 => {
                    let what = self.download.what.clone();
                    return Err(FetchError::Broken { what, url: shown(url), why, got: self.length() });
                }
                Ended::Broken(_) => {}
            }
            left = left.saturating_sub(1);
        }
    }

    fn once(&mut self, source: &Source<'_>) -> Result<Ended, FetchError> {
        let url = source.shown;
        if self.download.size.is_some_and(|size| size == self.length()) {
            return Ok(Ended::Complete);
        }
        let mut response = match (source.open)(self.length()) {
            Err(FetchError::Net { source: NetError::Status { status: 416, .. }, .. }) if self.length() > 0 => {
                self.restart()?;
                (source.open)(0)?
            }
            answer => answer?,
        };
        if response.status == 200 && self.length() > 0 {
            self.restart()?;
        }
        self.check_announced(url, &response)?;
        self.receive(url, &mut response)
    }

    fn receive(&mut self, url: &str, response: &mut Response) -> Result<Ended, FetchError> {
        let longest = self.download.size.unwrap_or(LONGEST);
        loop {
            let mut buffer = self.hash.buffer();
            let ended = self.fill(&mut buffer, response);
            if self.length().saturating_add(buffer.len() as u64) > longest {
                self.restart()?;
                return Err(self.mismatch(url, format!("{longest} bytes"), "more".to_owned()));
            }
            self.append(buffer)?;
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Reads until the buffer is full; else says why it is not.
    fn fill(&mut self, buffer: &mut Vec<u8>, response: &mut Response) -> Option<Ended> {
        let length = self.length();
        let mut filled = 0;
        let ended = loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                break None;
            }
            if self.stop.load(Ordering::Relaxed) {
                break Some(Ended::Stopped);
            }
            match response.body.read(room) {
                Ok(0) => break Some(Ended::Complete),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Some(Ended::Broken(error.to_string())),
            }
            self.progress.reached(length + filled as u64);
        };
        buffer.truncate(filled);
        ended
    }

    fn append(&mut self, bytes: Vec<u8>) -> Result<(), FetchError> {
        self.partial.file.write_all(&bytes).map_err(|source| self.disk(source, bytes.len() as u64))?;
        self.hash.update(bytes);
        self.partial.write_back(self.hash.length());
        Ok(())
    }

    /// A size that is wrong already in the answer's head is refused before anything is downloaded.
    fn check_announced(&self, url: &str, response: &Response) -> Result<(), FetchError> {
        let announced = response.length().and_then(|length| length.checked_add(self.length()));
        match (self.download.size, announced) {
            (Some(size), Some(announced)) if size != announced => {
                Err(self.mismatch(url, format!("{size} bytes"), format!("{announced} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn check(&mut self, url: &str) -> Result<(), FetchError> {
        if let Some(size) = self.download.size.filter(|size| *size != self.length()) {
            return Err(self.mismatch(url, format!("{size} bytes"), format!("{} bytes", self.length())));
        }
        let got = std::mem::take(&mut self.hash).finish();
        if got != self.download.digest {
            return Err(self.mismatch(url, self.download.digest.to_string(), got.to_string()));
        }
        Ok(())
    }

    /// Hashes what an earlier process has left.
    fn take_in_partial(&mut self) -> Result<(), FetchError> {
        if self.partial.length == 0 {
            return Ok(());
        }
        if let Err(source) = take_in(&mut self.partial.file, &mut self.hash) {
            return Err(self.disk(source, 0));
        }
        if self.download.size.is_some_and(|size| self.length() > size) {
            self.restart()?;
        }
        self.progress.reached(self.length());
        Ok(())
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        let emptied = self.partial.file.set_len(0).and_then(|()| self.partial.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|source| self.disk(source, 0))?;
        (self.hash, self.partial.length) = (Hashing::new(self.how.is_alone), 0);
        Ok(())
    }

    /// `pending` bytes could not be written; what has not come yet would need room, too.
    fn disk(&self, source: io::Error, pending: u64) -> FetchError {
        let needed = self.download.size.map_or(pending, |size| size.saturating_sub(self.length()));
        let source = StoreError::disk("writing", self.partial.path(), needed, source);
        FetchError::Disk { what: self.download.what.clone(), source }
    }

    fn mismatch(&self, url: &str, expected: String, got: String) -> FetchError {
        FetchError::Mismatch { what: self.download.what.clone(), url: shown(url), expected, got }
    }
}

fn take_in(file: &mut File, hash: &mut Hashing) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    loop {
        let mut buffer = hash.buffer();
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                buffer.truncate(read);
                hash.update(buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An address without user and password.
fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|error| error.shown().to_owned(), |url| url.to_string())
}
