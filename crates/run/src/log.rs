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
    let mut file = None;
    let mut kept = VecDeque::new();
    for name in ["log.1", "log"] {
        let Ok(open) = File::open(folder.join(name)) else { continue };
        let mut failed = Ok(());
        read(&mut BufReader::new(&open), &mut |record| match tail {
            None if failed.is_ok() => failed = show(record, stdout, stderr),
            None => {}
            Some(tail) => {
                kept.push_back(record.to_vec());
                kept.drain(..kept.len().saturating_sub(tail));
            }
        })?;
        failed?;
        // Read to here: what comes is shown from here.
        file = (name == "log").then_some(open);
    }
    for record in kept {
        show(&record, stdout, stderr)?;
    }
    let path = folder.join("log");
    loop {
        let more = goes_on();
        if let Some(open) = &mut file {
            let mut failed = Ok(());
            read(&mut BufReader::new(&*open), &mut |record| {
                if failed.is_ok() {
                    failed = show(record, stdout, stderr);
                }
            })?;
            failed?;
            stdout.flush()?;
        }
        if !more {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
        if is_another(file.as_ref(), &path) {
            file = File::open(&path).ok();
        }
    }
}

/// Was the log begun anew?
fn is_another(file: Option<&File>, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: io::Result<fs::Metadata>| metadata.map(|metadata| metadata.ino()).ok();
    file.and_then(|file| number(file.metadata())) != number(fs::metadata(path))
}

fn read(reader: &mut impl BufRead, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut record = Vec::new();
    loop {
        record.clear();
        let most = LONGEST as u64 + 16;
        if reader.by_ref().take(most).read_until(b'\n', &mut record)? == 0 {
            return Ok(());
        }
        take(&record);
    }
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
