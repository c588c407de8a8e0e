//! Members to a wheel: for packages whose files are known and that nobody has packed.
//!
//! The zip is a vessel: what counts are its members' bytes, from which the layer is spliced as from any other wheel. Same
//! members, same bytes: fixed times, the order that is given.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use corten_oci::Digester;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::record::Line;

/// From this many bytes on, zip needs its larger fields.
const LARGE: u64 = u32::MAX as u64;

/// Writes a wheel.
pub struct Packer {
    zip: ZipWriter<File>,
    record: Vec<Line>,
}

impl Packer {
    /// Into an empty file.
    pub fn new(file: File) -> Self {
        Self { zip: ZipWriter::new(file), record: Vec::new() }
    }

    /// Adds a member of `size` bytes.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn add(&mut self, path: &str, executable: bool, size: u64, mut content: impl Read) -> io::Result<()> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.zip.start_file(path, options(mode).large_file(size >= LARGE))?;
        let mut digester = Digester::new();
        let mut buffer = vec![0; 1 << 16];
        let mut written = 0;
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            digester.update(&buffer[..count]);
            self.zip.write_all(&buffer[..count])?;
            written += count as u64;
        }
        self.record.push(Line::hashed(path.to_owned(), &digester.finish(), written));
        Ok(())
    }

    /// Writes RECORD and gives the file back, at its beginning.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self, dist_info: &str) -> io::Result<File> {
        let own = format!("{dist_info}/RECORD");
        self.zip.start_file(own.as_str(), options(0o644))?;
        self.record.push(Line::bare(own));
        for line in &self.record {
            writeln!(self.zip, "{}", line.text())?;
        }
        let mut file = self.zip.finish()?;
        file.rewind()?;
        Ok(file)
    }
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(mode)
}
