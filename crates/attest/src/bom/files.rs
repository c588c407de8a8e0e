//! Checksums of files. SPDX 2.3 (§8.4) wants SHA-1 for every file; SHA-256 is what people trust.

use std::io::{self, Read};

use corten_oci::{Digest, Digester};
use sha1::{Digest as _, Sha1};

/// Checksums of one file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSums {
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: Digest,
}

impl FileSums {
    /// Reads a content to its end.
    pub fn of(mut content: impl Read) -> io::Result<Self> {
        let (mut sha1, mut sha256) = (Sha1::new(), Digester::new());
        let mut buffer = vec![0; 64 << 10];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(Self { sha1: sha1.finalize().into(), sha256: sha256.finish() }),
                got => {
                    sha1.update(&buffer[..got]);
                    sha256.update(&buffer[..got]);
                }
            }
        }
    }

    pub(crate) fn sha1_hex(&self) -> String {
        hex(&self.sha1)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// SPDX's package verification code (§7.9): SHA-1 of the files' sorted SHA-1 in hexadecimal, one after the other.
pub(crate) fn verification_code<'a>(files: impl Iterator<Item = &'a FileSums>) -> String {
    let mut sums: Vec<_> = files.map(FileSums::sha1_hex).collect();
    sums.sort();
    hex(&Sha1::digest(sums.concat().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha1sum`, `printf abc | sha256sum`.
    #[test]
    fn sums_are_those_of_coreutils() {
        let sums = FileSums::of(&b"abc"[..]).unwrap();
        assert_eq!(sums.sha1_hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sums.sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // printf a9993e364706816aba3e25717850c26c9cd0d89d | sha1sum
        assert_eq!(verification_code([sums].iter()), "9ef2bdeea2b1bae79b9ddb930427d0b2c880bdac");
    }
}
