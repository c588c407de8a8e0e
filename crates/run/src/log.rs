//! What a container writes, kept: at most twice [`LARGEST`] bytes, the oldest go (E18).
//!
//! A record is `1` (stdout) or `2` (stderr), a space, a line with its newline; or a plus, a line's part without one, and a newline.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of one file; the one before it is kept too.
const LARGEST: u64 = 16 << 20;
/// A line longer than this is cut into parts.
const LONGEST: usize = 16 << 10;

/// The log of a container that runs.
pub(crate) struct Log(Mutex<Current>);

struct Current {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    pub(crate) fn create(folder: &Path) -> io::Result<Arc<Self>> {
        let path = folder.join("log");
        let file = create(&path)?;
        Ok(Arc::new(Self(Mutex::new(Current { path, file, size: 0 }))))
    }

    fn put(&self, record: &[u8]) -> io::Result<()> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.size + record.len() as u64 > LARGEST {
            fs::rename(&current.path, current.path.with_extension("1"))?;
            current.file = create(&current.path)?;
            current.size = 0;
        }
        current.size += record.len() as u64;
        current.file.write_all(record)
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// One of the two outputs on its way to the log, and to somebody who looks on.
pub(crate) struct Tee {
    log: Arc<Log>,
    mark: u8,
    line: Vec<u8>,
    to: Option<Box<dyn Write + Send>>,
}

impl Tee {
    /// `mark`: `1` or `2`.
    pub(crate) fn new(log: Arc<Log>, mark: u8, to: Option<Box<dyn Write + Send>>) -> Self {
        Self { log, mark, line: Vec::new(), to }
    }

    fn end_line(&mut self, is_whole: bool) {
        let kind = if is_whole { b' ' } else { b'+' };
        let record = [&[self.mark, kind], self.line.as_slice(), b"\n"].concat();
        self.line.clear();
        // A full disk costs the log, not the container.
        let _ = self.log.put(&record);
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(to) = &mut self.to
            && to.write_all(bytes).and_then(|()| to.flush()).is_err()
        {
            // Who looked on is gone (a pipe to `head`): the log goes on.
            self.to = None;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) =
                part.split_last().filter(|(last, _)| **last == b'\n').map_or((part, false), |(_, text)| (text, true));
            for chunk in text.chunks(LONGEST) {
                if self.line.len() + chunk.len() > LONGEST {
                    self.end_line(false);
                }
                self.line.extend_from_slice(chunk);
            }
            if is_whole {
                self.end_line(true);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line(false);
        }
    }
}

/// Writes what a container has written; `goes_on` says whether more may come, and is asked before each look; `tail`: only that
/// many records of what is there.
///
/// # Errors
/// Of a sink, or of the disk.
pub fn follow(
    folder: &Path,
    tail: Option<usize>,
    goes_on: &dyn Fn() -> bool,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<()> {
    let (path, older) = (folder.join("log"), folder.join("log.1"));
    let mut current = Followed::open(&path);
    // Opened after: where the log was begun anew in between, it is the same file, and read once.
    let is_another = |before: &Followed| Some(before.number) != current.as_ref().map(|one| one.number);
    let mut before = Followed::open(&older).filter(is_another);
    let mut kept = VecDeque::new();
    for followed in before.iter_mut().chain(current.iter_mut()) {
        match tail {
            None => followed.show(stdout, stderr)?,
            Some(tail) => followed.read(&mut |record| {
                kept.push_back(record.to_vec());
                kept.drain(..kept.len().saturating_sub(tail));
            })?,
        }
    }
    kept.iter().try_for_each(|record| show(record, stdout, stderr))?;
    drop(kept);
    stdout.flush()?;
    loop {
        let more = goes_on();
        for followed in current.iter_mut() {
            followed.show(stdout, stderr)?;
        }
        let now = number(&path);
        if now.is_some() && now != current.as_ref().map(|one| one.number) {
            // It was begun anew: first what came to the old one meanwhile, then what was begun and ended meanwhile.
            let ended = current.as_ref().map(|one| one.number);
            for followed in current.iter_mut() {
                followed.show(stdout, stderr)?;
            }
            let next = Followed::open(&path);
            let between = Followed::open(&older)
                .filter(|one| Some(one.number) != ended && Some(one.number) != next.as_ref().map(|next| next.number));
            if let Some(mut followed) = between {
                followed.show(stdout, stderr)?;
            }
            current = next;
            continue;
        }
        stdout.flush()?;
        if !more {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A file of the log, read as far as its records are whole.
struct Followed {
    file: BufReader<File>,
    number: u64,
    /// The beginning of a record whose end is not there yet.
    part: Vec<u8>,
}

impl Followed {
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let number = std::os::unix::fs::MetadataExt::ino(&file.metadata().ok()?);
        Some(Self { file: BufReader::new(file), number, part: Vec::new() })
    }

    fn show(&mut self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
        let mut failed = Ok(());
        self.read(&mut |record| {
            if failed.is_ok() {
                failed = show(record, stdout, stderr);
            }
        })?;
        failed
    }

    /// Gives each whole record that has come since.
    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let most = LONGEST as u64 + 16;
        loop {
            let left = most.saturating_sub(self.part.len() as u64);
            let count = self.file.by_ref().take(left).read_until(b'\n', &mut self.part)?;
            if self.part.ends_with(b"\n") || self.part.len() as u64 >= most {
                take(&self.part);
                self.part.clear();
            } else if count == 0 {
                return Ok(());
            }
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
}

fn show(record: &[u8], stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
    let [mark, kind, text @ ..] = record else { return Ok(()) };
    let text = if *kind == b'+' { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
    if *mark == b'2' { stderr.write_all(text) } else { stdout.write_all(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(folder: &Path, tail: Option<usize>) -> (String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        follow(folder, tail, &|| false, &mut stdout, &mut stderr).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(stdout), text(stderr))
    }

    #[test]
    fn both_outputs_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path()).unwrap();
        let (mut one, mut two) = (Tee::new(Arc::clone(&log), b'1', None), Tee::new(Arc::clone(&log), b'2', None));
        one.write_all(b"a\nb").unwrap();
        two.write_all(b"wrong\n").unwrap();
        one.write_all(b"c\n\nend").unwrap();
        let long = "x".repeat(LONGEST * 2 + 5);
        two.write_all(long.as_bytes()).unwrap();
        drop((one, two));
        assert_eq!(shown(folder.path(), None), ("a\nbc\n\nend".into(), format!("wrong\n{long}")));
        assert_eq!(shown(folder.path(), Some(4)).0, "end");
    }

    /// Whatever is written between two looks, also across a new beginning, also two of them.
    #[test]
    fn who_follows_sees_each_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path()).unwrap();
        let tee = std::cell::RefCell::new(Tee::new(Arc::clone(&log), b'1', None));
        let written = std::cell::Cell::new(0_u64);
        let write = |lines: u64| {
            for _ in 0..lines {
                let line = format!("{:08}{}\n", written.get(), "z".repeat(8000));
                tee.borrow_mut().write_all(line.as_bytes()).unwrap();
                written.set(written.get() + 1);
            }
        };
        write(10);
        // 2,094 records are 16 MiB: a part, one new beginning, nothing, none, two of them.
        let amounts = std::cell::RefCell::new(vec![3, 4600, 1500, 0, 2090, 5]);
        let goes_on = || {
            let amount = amounts.borrow_mut().pop();
            amount.into_iter().for_each(&write);
            amount.is_some()
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        follow(folder.path(), None, &goes_on, &mut stdout, &mut stderr).unwrap();
        let seen: Vec<u64> =
            String::from_utf8(stdout).unwrap().lines().map(|line| line[..8].parse().unwrap()).collect();
        assert_eq!(seen, (0..written.get()).collect::<Vec<_>>());
        assert_eq!((written.get(), stderr.len()), (8208, 0));
    }

    #[test]
    fn e18_a_log_has_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path()).unwrap();
        let mut tee = Tee::new(Arc::clone(&log), b'1', None);
        let line = [b'y'; 8191];
        for number in 0..6000 {
            tee.write_all(&line).unwrap();
            tee.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("log") + size("log.1") <= 2 * LARGEST);
        assert!(shown(folder.path(), None).0.ends_with("y5999\n"));
    }
}
