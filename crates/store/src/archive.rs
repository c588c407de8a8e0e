//! The tars that images travel in: regular files and folders, nothing that depends on the day or the user.
//!
//! POSIX ustar (IEEE 1003.1, pax "ustar Interchange Format"); a file above 8 GiB gets a PAX record for its size.

use std::io::{self, BufReader, Read, Write};

const BLOCK: usize = 512;
/// Bytes that are copied at a time.
const BUFFER: usize = 256 * 1024;
/// The largest size that 11 octal digits say.
const LARGEST_OCTAL: u64 = 0o777_7777_7777;

pub(crate) struct Archive<'a> {
    to: &'a mut dyn Write,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Self {
        Self { to }
    }

    /// `name` ends with a slash; at most 100 bytes.
    pub(crate) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.to.write_all(&header(name, 0o755, 0, b'5')?)
    }

    /// A file of bytes in hand.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name, bytes.len() as u64, &mut &*bytes)
    }

    /// A file of exactly `size` bytes; `name` has at most 100.
    pub(crate) fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        if size > LARGEST_OCTAL {
            let record = size_record(size);
            self.to.write_all(&header("PaxHeaders/size", 0o644, record.len() as u64, b'x')?)?;
            self.to.write_all(record.as_bytes())?;
            self.pad(record.len() as u64)?;
        }
        self.to.write_all(&header(name, 0o644, size, b'0')?)?;
        let copied = io::copy(&mut BufReader::with_capacity(BUFFER, content.take(size)), self.to)?;
        if copied != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{name} ended after {copied} bytes")));
        }
        self.pad(size)
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (size % BLOCK as u64) as usize;
        match rest {
            0 => Ok(()),
            _ => self.to.write_all(&[0; BLOCK][rest..]),
        }
    }
}

fn header(name: &str, mode: u32, size: u64, kind: u8) -> io::Result<[u8; BLOCK]> {
    let mut header = [0; BLOCK];
    if name.len() > 100 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("'{name}' is too long for a tar header")));
    }
    let size = if size > LARGEST_OCTAL { 0 } else { size };
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(header)
}

/// `<length> size=<size>\n`, where the length counts itself.
fn size_record(size: u64) -> String {
    let rest = format!(" size={size}\n");
    let digits = if rest.len() + 1 > 9 { 2 } else { 1 };
    format!("{}{rest}", rest.len() + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GNU tar and Python read what is written here; the bytes are compared with those of Python's `tarfile`
    /// (`TarInfo("a/b", size=3, mode=0o644)`, USTAR_FORMAT).
    #[test]
    fn a_header_is_the_one_that_python_writes() {
        let header = header("a/b", 0o644, 3, b'0').unwrap();
        assert_eq!(&header[148..156], b"006322\0 ");
        assert_eq!(&header[..3], b"a/b");
    }

    #[test]
    fn a_size_above_eight_gibibytes_is_told_in_a_record() {
        assert_eq!(size_record(8_589_934_592), "19 size=8589934592\n");
        assert_eq!(size_record(8_589_934_592).len(), 19);
        assert_eq!(size_record(u64::MAX).len(), 29);
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let mut bytes = Vec::new();
        assert!(Archive::new(&mut bytes).file("a", 4, &mut &b"abc"[..]).is_err());
    }
}
