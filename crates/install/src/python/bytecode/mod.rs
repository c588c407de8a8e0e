//! Bytecode of wheels and of the project's own files, in layers of their own above them.
//!
//! ```text
//! wheels ─ paths of .py below site-packages ─┐
//!                                            ├─ for each wheel one process of the base's interpreter ─► .pyc ─► layer
//! files of the project ──────────────────────┘
//! ```
//!
//! The same files give the same bytecode in every project and on every machine:
//!
//! - *unchecked-hash* files (PEP 552): no time and no size is in them, and the interpreter never looks at the source again.
//! - A process for each wheel, its files sorted by path, the seed of hashes fixed: what a process compiled before changes
//!   the references that `marshal` writes.
//! - The interpreter is the image's own, of the very version ([`Interpreter`]); `co_filename` is the path in the image.
//!
//! Because nobody looks at the source again, bytecode must never stand beside another package's source: of a path that
//! two packages have, only the bytecode of the one whose source is seen is written ([`Conflict`]).
//!
//! Nothing of a wheel runs: its sources are compiled, in a process whose memory and time are limited. What does not
//! compile (templates, other Pythons' syntax) is left out and counted.

mod interpreter;
mod sources;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::write::{LayerWriter, Written};
use corten_oci::{Entry, Kind, LayerPath};

use self::interpreter::Input;
use self::sources::Sources;
use super::wheel::{Conflict, InstallTarget, WheelError, WheelSource};

pub use interpreter::Interpreter;
pub use unpack::{Unpacked, unpack};

/// Number of the rules by which sources become bytecode; a part of every key, with the interpreter's full version.
pub const FORMAT: u32 = 1;

/// A source file that is larger (bytes) is data in disguise; compiling takes a hundred times its size.
const LARGEST_SOURCE: u64 = 8 << 20;
/// Bytes of source that one process gets; the largest wheel on PyPI that was found has 60 MB.
const ALL_SOURCES: u64 = 256 << 20;

/// A source file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Where it is in the image: `opt/venv/lib/python3.11/site-packages/numpy/__init__.py`.
    pub path: LayerPath,
    /// What is in it.
    pub source: Vec<u8>,
}

/// What became of sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BytecodeReport {
    /// How many files of bytecode were made.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Sources that do not compile, or are too large: without bytecode, as the interpreter would find out itself.
    pub left_out: Vec<String>,
}

impl BytecodeReport {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.left_out.extend(other.left_out);
    }
}

/// Why there is no bytecode.
#[derive(Debug, thiserror::Error)]
pub enum BytecodeError {
    /// The wheel cannot be read.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The interpreter does not run on this machine, or is not what it should be.
    #[error("compiling {what}: {source}")]
    Interpreter {
        /// Whose sources.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// Writing the layer failed.
    #[error("writing the bytecode of {what}: {source}")]
    Write {
        /// Whose.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnose for BytecodeError {
    fn fault(&self) -> Fault {
        match self {
            Self::Wheel(error) => error.fault(),
            Self::Interpreter { .. } | Self::Write { .. } => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Wheel(error) => error.hints(),
            Self::Interpreter { .. } => vec!["bytecode = \"none\" builds the image without".to_owned()],
            Self::Write { .. } => Vec::new(),
        }
    }
}

/// About how many bytes a layer of a wheel's bytecode has, compressed, by the wheel's file name and size in bytes.
///
/// Measured on 24 wheels (NumPy to Transformers, Python 3.11): pure ones 1.4 to 2.3 times their size, others 0.0 to 0.9
/// times, together a fifth, and 20 MB at most.
pub fn estimated_size(file: &str, size: u64) -> u64 {
    match file.ends_with("-none-any.whl") {
        true => size.saturating_mul(7) / 4,
        false => (size / 4).min(20_000_000),
    }
}

/// Writes one layer with the bytecode of wheels, in their order; gives the sink back, flushed by nobody. `writer` is new
/// and writes the modification time of wheels ([`super::MTIME`]).
///
/// `conflicts` are those of all packages of the image ([`super::conflicts`], and the reports of each layer): a package
/// whose source is hidden has no bytecode there. A layer without files (no wheel of it has sources) is for nobody:
/// [`BytecodeReport::files`] says so.
///
/// # Errors
/// [`BytecodeError`]: a wheel that cannot be read, an interpreter that fails, a full disk.
pub fn compile_wheels<W: Write>(
    wheels: &[WheelSource],
    conflicts: &[Conflict],
    target: &InstallTarget,
    interpreter: &Interpreter<'_>,
    writer: LayerWriter<W>,
) -> Result<(W, Written, BytecodeReport), BytecodeError> {
    let mut prepared = Vec::with_capacity(wheels.len());
    for wheel in wheels {
        let mut sources = Sources::new(wheel, target)?;
        let hidden = conflicts.iter().filter(|conflict| conflict.loser == wheel.purl);
        let hidden: BTreeSet<&str> = hidden.map(|conflict| conflict.path.as_str()).collect();
        sources.retain(|path| !hidden.contains(path));
        prepared.push(sources);
    }
    keep_last(&mut prepared);
    let mut layer = Layer { writer, folders: BTreeSet::new() };
    let mut report = BytecodeReport::default();
    for (sources, wheel) in prepared.into_iter().zip(wheels) {
        let (input, left_out) = sources.read(LARGEST_SOURCE, ALL_SOURCES)?;
        let what = format!("{} {}", wheel.name, wheel.version);
        report.left_out.extend(left_out);
        report.add(layer.compile(input, Some(&wheel.purl), &what, interpreter)?);
    }
    let (sink, written) = layer.finish()?;
    Ok((sink, written, report))
}

/// Writes one layer with the bytecode of files that belong to no wheel (the project's own), in one process. As
/// [`compile_wheels`].
///
/// # Errors
/// [`BytecodeError`]: an interpreter that fails, a full disk.
pub fn compile_modules<W: Write>(
    mut modules: Vec<Module>,
    interpreter: &Interpreter<'_>,
    writer: LayerWriter<W>,
) -> Result<(W, Written, BytecodeReport), BytecodeError> {
    let mut layer = Layer { writer, folders: BTreeSet::new() };
    let (mut input, mut left_out, mut all) = (Input::default(), Vec::new(), 0);
    modules.sort_by(|one, other| one.path.cmp(&other.path));
    modules.dedup_by(|one, other| one.path == other.path);
    for module in modules {
        let size = module.source.len() as u64;
        all += size;
        if size > LARGEST_SOURCE || all > ALL_SOURCES {
            left_out.push(module.path.to_string());
        } else {
            input.push(module.path, &module.source);
        }
    }
    let mut report = layer.compile(input, None, "the project", interpreter)?;
    report.left_out.extend(left_out);
    let (sink, written) = layer.finish()?;
    Ok((sink, written, report))
}

/// Of one path in two wheels, the later wheel's source is seen.
fn keep_last(wheels: &mut [Sources<'_>]) {
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for (at, wheel) in wheels.iter().enumerate() {
        last.extend(wheel.paths().map(|path| (path.to_owned(), at)));
    }
    for (at, wheel) in wheels.iter_mut().enumerate() {
        wheel.retain(|path| last.get(path) == Some(&at));
    }
}

/// The layer being written, and the folders that are in it already.
struct Layer<W: Write> {
    writer: LayerWriter<W>,
    folders: BTreeSet<LayerPath>,
}

impl<W: Write> Layer<W> {
    fn compile(
        &mut self,
        input: Input,
        purl: Option<&str>,
        what: &str,
        interpreter: &Interpreter<'_>,
    ) -> Result<BytecodeReport, BytecodeError> {
        if input.is_empty() {
            return Ok(BytecodeReport::default());
        }
        let failed = |source| BytecodeError::Interpreter { what: what.to_owned(), source };
        let compiled = interpreter.compile(input).map_err(failed)?;
        let mut report = BytecodeReport::default();
        for (source, bytecode) in compiled.files() {
            let Some(bytecode) = bytecode else {
                report.left_out.push(source.to_string());
                continue;
            };
            let path = interpreter.cache_path(source).map_err(failed)?;
            report.files += 1;
            report.bytes += bytecode.len() as u64;
            self.file(path, bytecode, purl).map_err(|source| BytecodeError::Write { what: what.to_owned(), source })?;
        }
        Ok(report)
    }

    fn file(&mut self, path: LayerPath, content: &[u8], purl: Option<&str>) -> io::Result<()> {
        for folder in path.ancestors() {
            if self.folders.insert(folder.clone()) {
                self.writer.bare(entry(folder, Kind::Directory, 0o755, 0))?;
            }
        }
        let mut entry = entry(path, Kind::File, 0o644, content.len() as u64);
        entry.package = purl.map(str::to_owned);
        self.writer.file(entry, &mut { content })
    }

    fn finish(self) -> Result<(W, Written), BytecodeError> {
        let failed = |source| BytecodeError::Write { what: "a layer".to_owned(), source };
        self.writer.finish().map_err(failed)
    }
}

fn entry(path: LayerPath, kind: Kind, mode: u32, size: u64) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_tell_pure_wheels_from_others() {
        assert_eq!(estimated_size("jinja2-3.1.6-py3-none-any.whl", 134_899), 236_073);
        assert_eq!(estimated_size("numpy-2.3.4-cp311-cp311-manylinux_2_28_x86_64.whl", 16_900_000), 4_225_000);
        assert_eq!(estimated_size("torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl", 915_622_781), 20_000_000);
    }
}
