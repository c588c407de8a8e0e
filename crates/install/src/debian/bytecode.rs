//! Bytecode of the standard library, made by the very interpreter that was just unpacked.
//!
//! It runs on the host through its own loader and its own libraries: no container, no root, and the exact build, for
//! two interpreters of the same minor version do not always make the same bytecode. The files are *unchecked-hash*
//! (PEP 552): neither a time nor a size is in them, and the interpreter never looks at the source again. `co_filename`
//! is the path in the image.
//!
//! This runs code of the archive as the calling user. So running is a capability that is handed in.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use corten_oci::{Architecture, LayerPath};
use corten_store::StoreError;

use super::base::{NodeKind, Tree};

/// Reads paths from its input, writes for each the length (8 bytes, little-endian) and the bytecode. All ones as the
/// length: the file is no valid Python (some test data is not).
const SCRIPT: &str = "\
import sys, importlib.util
from importlib._bootstrap_external import _code_to_hash_pyc
root = sys.argv[1]
if sys.prefix != root + '/usr':
    sys.exit('the interpreter runs from ' + sys.prefix)
for path in sys.stdin.buffer.read().decode().split('\\0')[:-1]:
    with open(root + path, 'rb') as file:
        source = file.read()
    try:
        code = compile(source, path, 'exec', dont_inherit=True)
        data = _code_to_hash_pyc(code, importlib.util.source_hash(source), False)
    except (SyntaxError, ValueError):
        sys.stdout.buffer.write(b'\\xff' * 8)
        continue
    sys.stdout.buffer.write(len(data).to_bytes(8, 'little') + data)
";
const NOT_PYTHON: u64 = u64::MAX;

/// Makes bytecode. Who implements it decides where the interpreter runs.
pub trait Bytecode {
    /// Compiles files of an unpacked tree. `root` is the folder that it is unpacked to; `files` are paths below it.
    /// Returns path and content of every `.pyc` in the image.
    ///
    /// # Errors
    /// When the interpreter cannot be run, fails, or answers with something else than was asked for.
    fn compile(&self, root: &Path, files: &[LayerPath]) -> io::Result<Vec<(LayerPath, Vec<u8>)>>;
}

/// One run of a program, for whoever may start processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What to run.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it reads on standard input, to the end.
    pub input: Vec<u8>,
}

/// [`Bytecode`] by the interpreter in the tree itself.
///
/// `run` starts the program and returns what it wrote to standard output; it fails when the exit status is not 0.
#[derive(Debug, Clone, Copy)]
pub struct OwnInterpreter<F> {
    /// For which processor the tree is: the machine must be able to run it.
    pub architecture: Architecture,
    /// Its minor version: `(3, 11)`.
    pub python: (u32, u32),
    /// Starts a program.
    pub run: F,
}

impl<F: Fn(&Invocation) -> io::Result<Vec<u8>>> Bytecode for OwnInterpreter<F> {
    fn compile(&self, root: &Path, files: &[LayerPath]) -> io::Result<Vec<(LayerPath, Vec<u8>)>> {
        let root = root.canonicalize()?;
        let output = (self.run)(&invocation(&root, self.architecture, self.python, files))?;
        let bytecode = read_answer(&output, files.len())?;
        let made = files.iter().zip(bytecode).filter_map(|(file, content)| Some((file, content?)));
        made.map(|(file, content)| Ok((cache_path(file, self.python)?, content.to_vec()))).collect()
    }
}

/// The loader's path in the image.
pub(super) fn loader(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "lib64/ld-linux-x86-64.so.2",
        Architecture::Arm64 => "lib/ld-linux-aarch64.so.1",
    }
}

/// Where the loader lies once unpacked by [`unpack_interpreter`].
const UNPACKED_LOADER: &str = "loader";

fn invocation(root: &Path, architecture: Architecture, python: (u32, u32), files: &[LayerPath]) -> Invocation {
    let libraries = root.join("usr/lib").join(architecture.triplet());
    let interpreter = root.join(format!("usr/bin/python{}.{}", python.0, python.1));
    let mut arguments: Vec<OsString> = vec!["--inhibit-cache".into(), "--library-path".into(), libraries.into()];
    arguments.push(interpreter.into());
    arguments.extend(["-I", "-S", "-B", "-W", "ignore", "-c", SCRIPT].map(OsString::from));
    arguments.push(root.into());
    let environment = vec![("PYTHONHOME".into(), root.join("usr").into()), ("LC_ALL".into(), "C".into())];
    let input = files.iter().flat_map(|file| [b"/", file.as_bytes(), b"\0"].concat()).collect();
    Invocation { program: root.join(UNPACKED_LOADER), arguments, environment, input }
}

fn read_answer(mut output: &[u8], count: usize) -> io::Result<Vec<Option<&[u8]>>> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, format!("the interpreter's answer {why}"));
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = output.split_first_chunk().ok_or_else(|| invalid("is cut off"))?;
        let length = u64::from_le_bytes(*length);
        if length == NOT_PYTHON {
            (output, _) = (rest, answers.push(None));
            continue;
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let (content, rest) = rest.split_at(length.ok_or_else(|| invalid("is cut off"))?);
        answers.push(Some(content));
        output = rest;
    }
    if output.is_empty() { Ok(answers) } else { Err(invalid("goes on behind its end")) }
}

/// `usr/lib/python3.11/abc.py` → `usr/lib/python3.11/__pycache__/abc.cpython-311.pyc` (PEP 3147).
fn cache_path(file: &LayerPath, python: (u32, u32)) -> io::Result<LayerPath> {
    let name = String::from_utf8_lossy(file.name()).into_owned();
    let stem = name.strip_suffix(".py").unwrap_or(&name);
    let name = format!("__pycache__/{stem}.cpython-{}{}.pyc", python.0, python.1);
    file.parent().unwrap_or_default().join(name).map_err(io::Error::other)
}

/// The source of a `.pyc` file's path.
pub(super) fn source_path(bytecode: &LayerPath) -> Option<LayerPath> {
    let (folder, name) = (bytecode.parent()?.parent()?, bytecode.name());
    let end = name.windows(9).position(|part| part == b".cpython-")?;
    folder.join([&name[..end], b".py"].concat()).ok()
}

/// The Python files of a tree that have bytecode in a Debian installation.
pub(super) fn sources(tree: &Tree, python: (u32, u32)) -> Vec<LayerPath> {
    let library = format!("usr/lib/python{}.{}", python.0, python.1);
    let folders = [library.as_str(), "usr/lib/python3/dist-packages", "usr/share/python3"];
    let folders = folders.iter().filter_map(|folder| LayerPath::new(folder).ok());
    let files = folders.flat_map(|folder| tree.below(&folder).map(|(path, _)| path.clone()).collect::<Vec<_>>());
    let is_source = |path: &LayerPath| path.name().ends_with(b".py") && tree.read(path.as_bytes()).is_some();
    files.filter(|path| path.as_str().is_some() && is_source(path)).collect()
}

/// Writes what the interpreter needs to run, and the sources, below `root`: an empty folder of ours.
///
/// Links are written as the files that they lead to, so that nothing in the folder leads out of it. The standard library
/// is that of `tree`; the interpreter, which may be for another processor, has a tree of its own.
pub(super) fn unpack_interpreter(
    tree: &Tree,
    (own, architecture): (&Tree, Architecture),
    root: &Path,
    python: (u32, u32),
    sources: &[LayerPath],
) -> io::Result<()> {
    let interpreter = format!("usr/bin/python{}.{}", python.0, python.1);
    let missing = |what: &str| io::Error::new(io::ErrorKind::NotFound, format!("/{what} is not in the base"));
    let content = own.read(loader(architecture)).ok_or_else(|| missing(loader(architecture)))?;
    write_file(&root.join(UNPACKED_LOADER), content, 0o755)?;
    let content = own.read(&interpreter).ok_or_else(|| missing(&interpreter))?;
    write_file(&root.join(&interpreter), content, 0o755)?;
    let libraries = LayerPath::new(format!("usr/lib/{}", architecture.triplet())).map_err(io::Error::other)?;
    let is_library = |path: &&LayerPath| path.name().starts_with(b"lib") && path.as_str().is_some();
    let library = LayerPath::new(format!("usr/lib/python{}.{}", python.0, python.1)).map_err(io::Error::other)?;
    let libraries = own.children(&libraries).map(|(path, _)| (own, path)).filter(|(_, path)| is_library(path));
    let modules = tree.below(&library).map(|(path, _)| path).chain(sources).map(|path| (tree, path));
    for (tree, path) in libraries.chain(modules) {
        let is_directory = tree.get(path).is_some_and(|node| node.kind == NodeKind::Directory);
        if let (Some(name), Some(content), false) = (path.as_str(), tree.read(path.as_bytes()), is_directory) {
            write_file(&root.join(name), content, 0o644)?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode).open(path)?.write_all(content)
    };
    write().map_err(|error| {
        let kind = error.kind();
        io::Error::new(kind, StoreError::disk("writing", path, content.len() as u64, error))
    })
}

#[cfg(test)]
#[path = "bytecode/tests.rs"]
mod tests;
