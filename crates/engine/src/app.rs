//! Layers of the project's own files: application and weights.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use corten_diagnostic::Failure;
use corten_layer::write::{LayerWriter, Written};
use corten_oci::{Digester, Entry, Kind};
use corten_plan::{AppFiles, SourceFile};

use crate::files::{Parents, entry, written};

/// Writes the files under their parents. A file whose bytes are no longer those of the plan is refused.
pub fn write<W: Write>(app: &AppFiles, mut layer: LayerWriter<W>) -> Result<(W, Written), Failure> {
    let mut parents = Parents::default();
    for file in &app.files {
        parents.before(&file.path, &mut layer)?;
        match &file.link {
            Some(target) => written(layer.bare(entry(&file.path, Kind::Symlink(target.clone()), 0o777)?))?,
            None => copy(file, &mut layer)?,
        }
    }
    written(layer.finish())
}

fn copy<W: Write>(file: &SourceFile, layer: &mut LayerWriter<W>) -> Result<(), Failure> {
    let mut content = Checked::open(file)?;
    let entry = Entry { size: file.size, ..entry(&file.path, Kind::File, file.mode)? };
    layer.file(entry, &mut content).map_err(|error| content.unreadable(error))?;
    content.finish()
}

/// A file of the project whose bytes must be those of the plan.
pub struct Checked<'a> {
    file: &'a SourceFile,
    source: BufReader<File>,
    digester: Digester,
}

impl<'a> Checked<'a> {
    /// Opens it.
    pub fn open(file: &'a SourceFile) -> Result<Self, Failure> {
        let source = File::open(&file.source).map_err(|error| unreadable(file, error))?;
        Ok(Self { file, source: BufReader::with_capacity(1 << 18, source), digester: Digester::new() })
    }

    /// Why it could not be copied.
    pub fn unreadable(&self, error: io::Error) -> Failure {
        unreadable(self.file, error)
    }

    /// Refuses bytes that are no longer those of the plan.
    pub fn finish(self) -> Result<(), Failure> {
        if self.digester.finish() == self.file.digest { Ok(()) } else { Err(changed(self.file)) }
    }
}

/// The whole of a file of the project.
pub fn read(file: &SourceFile) -> Result<Vec<u8>, Failure> {
    let mut content = Checked::open(file)?;
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|error| content.unreadable(error))?;
    content.finish()?;
    Ok(bytes)
}

fn unreadable(file: &SourceFile, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => changed(file).because(error),
        _ => Failure::world(format!("copying {} into a layer: {error}", file.source.display())),
    }
}

fn changed(file: &SourceFile) -> Failure {
    Failure::world(format!("{} changed while the image was being built", file.source.display()))
        .hint("build again once nothing writes to the project")
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digester.update(&buffer[..count]);
        Ok(count)
    }
}
