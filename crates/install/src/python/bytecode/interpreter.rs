//! The base's interpreter as a process on this machine, for one package.
//!
//! It runs through its own loader with its own libraries and its own standard library, without `site` and with nothing of
//! the host's environment. Sources go in, bytecode comes out, both framed by lengths (8 bytes, little-endian):
//!
//! ```text
//! in:  length, path, length, source  …          out:  length, bytecode | all ones: it does not compile  …
//! ```

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use corten_oci::LayerPath;

use super::unpack::Unpacked;
use crate::debian::bytecode::Invocation;

/// Address space (bytes) and processor time (seconds) that one package may take; large ones take 0.2 GB and 10 s.
const MEMORY: u64 = 2 << 30;
const SECONDS: u64 = 300;

/// What runs: nothing but `compile`. Any error of it is the source's.
const SCRIPT: &str = "\
import sys
root, version, memory, seconds = sys.argv[1:]
sys.path[:] = [path for path in sys.path if path.startswith(root)]
if not sys.prefix.startswith(root):
    sys.exit('the interpreter runs from ' + sys.prefix)
if sys.version.split()[0].rstrip('+') != version:
    sys.exit('the interpreter is Python ' + sys.version.split()[0] + ', not ' + version)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, OSError, ValueError):
    pass
from importlib.util import source_hash
from importlib._bootstrap_external import _code_to_hash_pyc
read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
def field(length):
    data = read(int.from_bytes(length, 'little'))
    return data
for length in iter(lambda: read(8), b''):
    path = field(length).decode()
    source = field(read(8))
    try:
        code = compile(source, path, 'exec', dont_inherit=True)
        data = _code_to_hash_pyc(code, source_hash(source), False)
    except Exception:
        write(b'\\xff' * 8)
        continue
    write(len(data).to_bytes(8, 'little'))
    write(data)
    del source, code, data
";
const NOT_PYTHON: u64 = u64::MAX;

/// An interpreter that was unpacked to this machine, and how a program is started.
#[derive(Clone, Copy)]
pub struct Interpreter<'a> {
    /// Where it lies.
    pub unpacked: &'a Unpacked,
    /// Its full version, as the image's Python says it: `3.11.2`. Another one is refused: its bytecode differs.
    pub version: &'a str,
    /// Runs a program to its end and gives what it wrote to standard output; fails unless the exit status is 0.
    pub run: &'a (dyn Fn(&Invocation) -> io::Result<Vec<u8>> + Sync),
}

impl Interpreter<'_> {
    /// Compiles sources, in their order.
    pub(super) fn compile(&self, input: Input) -> io::Result<Compiled> {
        let Input { paths, framed } = input;
        let answer = (self.run)(&self.invocation(framed))?;
        let places = read_answer(&answer, paths.len())?;
        Ok(Compiled { answer, files: paths.into_iter().zip(places).collect() })
    }

    /// `…/abc.py` → `…/__pycache__/abc.cpython-311.pyc` (PEP 3147).
    pub(super) fn cache_path(&self, source: &LayerPath) -> io::Result<LayerPath> {
        let stem = source.name().strip_suffix(b".py").unwrap_or(source.name());
        let mut parts = self.version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = [b"__pycache__/", stem, format!(".cpython-{major}{minor}.pyc").as_bytes()].concat();
        source.parent().unwrap_or_default().join(name).map_err(io::Error::other)
    }

    fn invocation(&self, input: Vec<u8>) -> Invocation {
        let unpacked = self.unpacked;
        let mut arguments: Vec<OsString> = Vec::new();
        if unpacked.is_glibc {
            arguments.push("--inhibit-cache".into());
        }
        arguments.extend(["--library-path".into(), unpacked.libraries().into(), unpacked.program.clone().into()]);
        arguments.extend(["-S", "-s", "-B", "-W", "ignore", "-c", SCRIPT].map(OsString::from));
        arguments.extend([unpacked.root.clone().into(), self.version.into()]);
        arguments.extend([MEMORY.to_string(), SECONDS.to_string()].map(OsString::from));
        let environment = [("PYTHONHOME", unpacked.home()), ("PYTHONHASHSEED", "0".into()), ("LC_ALL", "C".into())];
        let environment = environment.map(|(key, value): (_, PathBuf)| (key.into(), value.into()));
        Invocation { program: unpacked.loader(), arguments, environment: environment.into(), input }
    }
}

/// Sources as the interpreter gets them; nothing is kept twice, for large wheels have 60 MB of them.
#[derive(Default)]
pub(super) struct Input {
    /// Of the sources in the image.
    paths: Vec<LayerPath>,
    framed: Vec<u8>,
}

impl Input {
    /// With space for so many bytes of source.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { paths: Vec::new(), framed: Vec::with_capacity(bytes) }
    }

    pub(super) fn push(&mut self, path: LayerPath, source: &[u8]) {
        let shown = [b"/", path.as_bytes()].concat();
        for field in [shown.as_slice(), source] {
            self.framed.extend_from_slice(&(field.len() as u64).to_le_bytes());
            self.framed.extend_from_slice(field);
        }
        self.paths.push(path);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// What the interpreter made: its answer as it came, and where in it the files are.
pub(super) struct Compiled {
    answer: Vec<u8>,
    files: Vec<(LayerPath, Option<Range<usize>>)>,
}

impl Compiled {
    /// Path of the source, and its bytecode; none for what does not compile.
    pub(super) fn files(&self) -> impl Iterator<Item = (&LayerPath, Option<&[u8]>)> {
        self.files.iter().map(|(path, place)| {
            let bytecode = place.as_ref().and_then(|place| self.answer.get(place.clone()));
            (path, bytecode)
        })
    }
}

/// Where in the answer each file is.
fn read_answer(answer: &[u8], count: usize) -> io::Result<Vec<Option<Range<usize>>>> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, format!("the interpreter's answer {why}"));
    let mut places = Vec::with_capacity(count);
    let mut rest = answer;
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk().ok_or_else(|| invalid("is cut off"))?;
        let length = u64::from_le_bytes(*length);
        rest = behind;
        if length == NOT_PYTHON {
            places.push(None);
            continue;
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let length = length.ok_or_else(|| invalid("is cut off"))?;
        let start = answer.len() - rest.len();
        places.push(Some(start..start + length));
        rest = rest.split_at(length).1;
    }
    if rest.is_empty() { Ok(places) } else { Err(invalid("goes on behind its end")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_framed() {
        let answer = b"\x02\0\0\0\0\0\0\0AB\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
        assert_eq!(read_answer(answer, 3).unwrap(), [Some(8..10), None, Some(26..26)]);
        for (answer, count) in [
            (&b""[..], 1),
            (b"\x02\0\0\0\0\0\0\0A", 1),
            (b"\xfe\xff\xff\xff\xff\xff\xff\xffA", 1),
            (b"\x01\0\0\0\0\0\0\0A!", 1),
        ] {
            assert_eq!(read_answer(answer, count).unwrap_err().kind(), io::ErrorKind::InvalidData, "{answer:?}");
        }
    }
}
