//! Reading a blob to the end, with its size and hash checked before the last byte is handed out.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use corten_oci::{Digest, Digester};

use crate::{StoreError, scratch};

/// Yields a blob's bytes. The last of them come only when size and hash are right, else an error does.
pub(crate) struct VerifiedReader {
    file: File,
    path: PathBuf,
    left: u64,
    digester: Option<Digester>,
    expected: Digest,
    trash: Option<PathBuf>,
    /// Other bytes may follow in the file.
    is_part: bool,
}

impl VerifiedReader {
    /// `size` is what the file has, or what it must have.
    pub(crate) fn new(file: File, path: PathBuf, size: u64, expected: Digest) -> Self {
        Self { file, path, left: size, digester: Some(Digester::new()), expected, trash: None, is_part: false }
    }

    /// Of a file that has more: its position is where the bytes begin.
    pub(crate) fn part(self) -> Self {
        Self { is_part: true, ..self }
    }

    /// Where the file is moved when it turns out damaged, so that it counts as absent and is made again.
    pub(crate) fn setting_aside(self, trash: PathBuf) -> Self {
        Self { trash: Some(trash), ..self }
    }

    fn damaged(&mut self, why: impl Into<String>) -> io::Error {
        let mut why = why.into();
        if let Some(trash) = self.trash.take()
            && scratch::is_still(&self.file, &self.path)
            && fs::rename(&self.path, trash).is_ok()
        {
            why.push_str("; it was moved to the store's trash, and will be downloaded or made again");
        }
        StoreError::damaged(&self.path, why).into_io()
    }

    /// All bytes are taken: is there one more, and what is their hash?
    fn check_end(&mut self) -> io::Result<()> {
        let Some(digester) = self.digester.take() else { return Ok(()) };
        if !self.is_part && self.file.read(&mut [0])? != 0 {
            return Err(self.damaged("it is longer than it was"));
        }
        match digester.finish() {
            digest if digest == self.expected => Ok(()),
            digest => Err(self.damaged(format!("its bytes have the digest {digest}"))),
        }
    }
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return self.check_end().map(|()| 0);
        }
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let got = self.file.read(&mut buffer[..length])?;
        if got == 0 {
            let why = format!("{} bytes are missing at its end", self.left);
            return Err(self.damaged(why));
        }
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..got]);
        }
        self.left -= got as u64;
        if self.left == 0 {
            self.check_end()?;
        }
        Ok(got)
    }
}
